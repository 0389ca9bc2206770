package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/agent"
	"calljournal/agent/access"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/connectors/replay"

	"charm.land/lipgloss/v2"
	"golang.org/x/sync/errgroup"
)

type demoVerb struct {
	PBX   string  `name:"pbx" help:"asterisk, freeswitch, or both at once." enum:"asterisk,freeswitch,both" default:"both"`
	Speed float64 `help:"So many times faster than life, the PBX's own clock included." default:"1" placeholder:"N"`
	Calls int     `help:"End after that many calls; 0 goes on until Ctrl-C." default:"0" placeholder:"N"`
}

// demoEvery is how often a call begins.
const demoEvery = 2500 * time.Millisecond

// Run starts a PBX made of recordings and the daemon on it, as somebody else
// would: over the PBX's protocol on one side, over the sync feed on the other.
func (v demoVerb) Run(sh *shell) (err error) {
	if v.Speed < 0.1 || v.Speed > 100 {
		return &exitError{exitUsage, "--speed: want a number from 0.1 to 100"}
	}
	if v.Calls < 0 {
		return &exitError{exitUsage, "--calls: want a number from 0 on"}
	}
	// What the daemon does is told by the table; its log speaks up only when
	// something is wrong.
	log := slog.New(slog.NewTextHandler(sh.errOut, &slog.HandlerOptions{Level: slog.LevelError}))
	ctx, stop := endBySignal(sh.ctx, log)
	defer stop()

	folder, err := os.MkdirTemp("", "calljournal-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo's journal: %w", err)
	}
	defer func() {
		if e := os.RemoveAll(folder); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the demo's journal: %w", e))
		}
	}()
	d := demo{sh: sh, file: filepath.Join(folder, "calljournal.toml"), token: rand.Text(), password: strings.ToLower(rand.Text()[:12]), limit: v.Calls, people: map[string]string{}, shown: map[string]bool{}}
	secret := rand.Text()
	kinds := []string{v.PBX}
	if v.PBX == "both" {
		kinds = []string{replay.Asterisk, replay.FreeSWITCH}
	}
	var recordings []*replay.Recording
	for _, kind := range kinds {
		some, err := replay.Demo(kind)
		if err != nil {
			return err
		}
		recordings = append(recordings, some...)
		var seed [8]byte
		_, _ = rand.Read(seed[:])
		programme, err := replay.Loop(some, time.Duration(len(kinds))*demoEvery, binary.NativeEndian.Uint64(seed[:]))
		if err != nil {
			return err
		}
		s, err := replay.Listen(kind, programme, replay.Options{User: "calljournal", Secret: secret, Speed: v.Speed, Lead: 250 * time.Millisecond})
		if err != nil {
			return err
		}
		d.pbxs = append(d.pbxs, demoPBX{kind, s})
	}
	text := demoConfig(d.pbxs, folder, secret, d.token, recordings)
	if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the demo's configuration: %w", err)
	}
	c, err := config.Load(d.file, sh.env)
	if err != nil {
		return err
	}
	for _, e := range c.Employee {
		d.people[e.Extension] = e.Name
	}
	users, err := access.OpenUsers(filepath.Join(c.Agent.DataDir, "users.json"), time.Now)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir(c.Agent.DataDir, 0o700), users.Add(demoUser, access.Role{Scope: access.ScopeAdmin}, d.password)); err != nil {
		return fmt.Errorf("make the demo's user: %w", err)
	}
	reread := func() (*config.Config, error) { return config.Load(d.file, sh.env) } // what token add prints is tried out here too
	d.agent, err = agent.New(agent.Options{Config: c, Reread: reread, Logger: log, Version: version})
	if err != nil {
		return err
	}
	if err := d.welcome(); err != nil {
		return err
	}
	return d.run(ctx)
}

type demo struct {
	sh    *shell
	pbxs  []demoPBX
	agent *agent.Agent
	file  string // configuration
	token string
	// password of demoUser
	password string
	limit    int
	people   map[string]string // by extension
	shown    map[string]bool
}

// demoUser signs in to the demo's pages.
const demoUser = "demo"

type demoPBX struct {
	kind string
	*replay.Server
}

// errEnough ends a demo that has shown what it was asked for.
var errEnough = errors.New("all calls shown")

// run keeps the PBX, the daemon and the table going, and ends all with the first
// that ends.
func (d *demo) run(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	// The daemon ends first: to it, a PBX that goes away is a fault to speak of.
	pbx, endPBX := context.WithCancel(context.WithoutCancel(ctx))
	all.Go(func() error {
		defer endPBX()
		return d.agent.Run(ctx)
	})
	for _, p := range d.pbxs {
		all.Go(func() error { return p.Run(pbx) })
	}
	all.Go(func() error { return d.follow(ctx) })
	err := all.Wait()
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	_, err = fmt.Fprintf(d.sh.screen(), "\nCalls shown: %d. The demo's journal is removed; nothing is left behind.\n", len(d.shown))
	return err
}

// follow reads the feed as a central server would and shows each new call.
func (d *demo) follow(ctx context.Context) error {
	var page struct {
		Next    uint64 `json:"next"`
		Entries []struct {
			Op   string       `json:"op"`
			Call *call.Record `json:"call"`
		} `json:"entries"`
	}
	for {
		err := d.ask(ctx, "/v1/sync?"+url.Values{"after": {strconv.FormatUint(page.Next, 10)}, "wait": {"20"}}.Encode(), &page)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the demo's own feed: %w", err)
		}
		for _, e := range page.Entries {
			if e.Op != "call" || d.shown[e.Call.ID] {
				continue
			}
			d.shown[e.Call.ID] = true
			if err := d.show(e.Call); err != nil {
				return err
			}
			if len(d.shown) == d.limit {
				return errEnough
			}
		}
	}
}

func (d *demo) ask(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.agent.Addr().String()+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s", resp.Status, path)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(into)
}

// demoColumns are wide enough for what the recordings hold: the lines come one
// by one, so the table cannot wait to see how wide it gets.
var demoColumns = []struct {
	name  string
	width int
}{{"ENDED", 8}, {"DIRECTION", 9}, {"FROM", 30}, {"TO", 30}, {"STATUS", 12}, {"WAIT", 6}, {"TALK", 6}, {"WHO", 20}}

func demoLine(cells []string) string {
	var b strings.Builder
	for i, c := range cells {
		b.WriteString(c)
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", max(0, demoColumns[i].width-lipgloss.Width(c))+2))
		}
	}
	return strings.TrimRight(b.String(), " ")
}

func (d *demo) welcome() error {
	var played []string
	for _, p := range d.pbxs {
		name := map[string]string{replay.Asterisk: "an Asterisk", replay.FreeSWITCH: "a FreeSWITCH"}[p.kind]
		played = append(played, "Recorded calls of "+name+", played over its real protocol at "+p.Addr()+".")
	}
	var head []string
	for _, c := range demoColumns {
		head = append(head, c.name)
	}
	at := "http://" + d.agent.Addr().String()
	_, err := fmt.Fprintf(d.sh.screen(), `%s
The journal is temporary. Ctrl-C ends the demo.

  journal   %s/
            name %s, password %s
  token     %s
  feed      curl -H 'Authorization: Bearer %s' '%s/v1/sync?after=0'
  elsewhere calljournal calls --config %s

%s
`, strings.Join(played, "\n"), at, demoUser, d.password, d.token, d.token, at, d.file, styleHead.PaddingRight(0).Render(demoLine(head)))
	return err
}

func (d *demo) show(r *call.Record) error {
	status := r.Status
	switch {
	case r.Missed:
		status = styleBad.Render(status)
	case status == call.StatusAnswered:
		status = styleGood.Render(status)
	}
	who := str(r.LastTalkedBy)
	if name := d.people[who]; name != "" {
		who += " " + name
	}
	to := party(r.To)
	if r.Line != nil && r.Line.Name != nil && r.Direction == call.Inbound {
		to = short(r.Line.Number+" "+*r.Line.Name, 30)
	}
	_, err := fmt.Fprintln(d.sh.screen(), demoLine([]string{r.EndedAt.Time().Local().Format(time.TimeOnly), r.Direction, party(r.From), to, status,
		ms(r.WaitMs), ms(r.TalkMs), short(who, 30)}))
	return err
}

// The people and lines of the demo are invented; their numbers are those that
// the recordings hold.
var (
	demoPeople = []struct{ name, department string }{
		{"Анна Петрова", "Продажи"}, {"Борис Ильин", "Продажи"}, {"Вера Соколова", "Продажи"}, {"Глеб Орлов", "Поддержка"},
		{"Дарья Ким", "Поддержка"}, {"Егор Лапин", "Склад"}, {"Жанна Белова", "Бухгалтерия"}, {"Захар Мороз", "Поддержка"},
	}
	demoLines = []struct{ name, source string }{
		{"Сайт", "yandex-direct"}, {"Карты", "2gis"}, {"Реклама", "vk-ads"}, {"Общий", ""},
	}
)

// demoConfig writes the configuration that a person would.
func demoConfig(pbxs []demoPBX, folder, secret, token string, recordings []*replay.Recording) string {
	var extensions, lines []string
	for _, r := range recordings {
		extensions = append(extensions, r.Extensions()...)
		lines = append(lines, r.Lines()...)
	}
	slices.Sort(extensions)
	slices.Sort(lines)
	var b strings.Builder
	table := func(head string, pairs ...string) {
		b.WriteString(head + "\n")
		for i := 0; i < len(pairs); i += 2 {
			fmt.Fprintf(&b, "%s = %s\n", pairs[i], tomlText(pairs[i+1]))
		}
		b.WriteString("\n")
	}
	table("[agent]", "name", "demo", "data_dir", filepath.Join(folder, "data"), "socket", filepath.Join(folder, "control.sock"))
	table("[http]", "listen", "127.0.0.1:0")
	table("[[http.token]]", "name", "demo", "scope", "admin", "token", token)
	for _, p := range pbxs {
		table("[[pbx]]", "name", p.kind, "kind", p.kind, "address", p.Addr(), "username", "calljournal", "secret", secret)
	}
	table("[rules]", "country", "RU")
	for i, extension := range slices.Compact(extensions) {
		p := demoPeople[i%len(demoPeople)]
		table("[[employee]]", "extension", extension, "name", p.name, "department", p.department)
	}
	for i, number := range slices.Compact(lines) {
		l := demoLines[i%len(demoLines)]
		table("[[line]]", "number", number, "name", l.name, "source", l.source)
	}
	return b.String()
}

// tomlText writes a TOML string. Folders of Windows have backslashes.
func tomlText(s string) string {
	b, err := json.Marshal(s) // a JSON string is a TOML basic string
	if err != nil {
		return `""`
	}
	return string(b)
}
