package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/forward"
	"calljournal/agent/journal"
	"calljournal/agent/mail"
	"calljournal/agent/media"
	"calljournal/agent/transport"
	"calljournal/agent/uplink"
	"calljournal/agent/web"
	"calljournal/connectors"
	"calljournal/storage"
)

// Options of New. Config and Logger must be set.
type Options struct {
	Config  *config.Config
	Logger  *slog.Logger
	Version string
	// Level, if set, follows log.level of the configuration when it is reloaded.
	Level *slog.LevelVar
	// Now is the clock of this machine; nil is time.Now.
	Now func() time.Time
	// Connect makes the connector of a [[pbx]]; nil goes by its kind.
	Connect func(config.PBX, *slog.Logger) (connectors.Connector, error)
	// Store opens the journal; nil opens journal.db in agent.data_dir.
	Store func(path string, o storage.Options) (Store, error)
	// Reread gives the configuration as its file says it now; nil: there is none.
	Reread func() (*config.Config, error)
	// GroupMost is how many changes one commit takes, and so how many wait in
	// memory for it while the disk is not there; 0 is 8192.
	GroupMost int
	// Alive, if set, is called about once a second while facts are being taken
	// in: it feeds a watchdog. Started is called once, when everything runs.
	Alive, Started func()
}

// Store is what the daemon needs of the journal; *storage.DB is one.
type Store interface {
	api.Store
	forward.Journal
	Commit(*storage.Batch) error
	Facts(pbx string) ([]call.Event, error)
	State(name string) ([]byte, error)
	States(prefix string) (map[string][]byte, error)
	Past(func(journal.Past) error) error
	CallsAfter(storage.Position, int) ([]*call.Record, storage.Position, error)
	Recount(storage.Counting) (storage.Recounted, error)
	Gaps(limit int) ([]call.Gap, error)
	Consumers() ([]storage.Consumer, error)
	Retain(storage.Retention) (storage.Retained, error)
	Stats() storage.Stats
	Warm(context.Context) error
	Close() error
}

// Agent is one daemon. New takes what it needs, Run works and gives it back.
type Agent struct {
	o         Options
	log       *slog.Logger
	now       func() time.Time
	store     Store
	books     *books
	links     []*link
	directory atomic.Pointer[journal.Directory]
	config    atomic.Pointer[config.Config]
	metrics   *metrics
	server    *api.Server
	network   *transport.Listener // nil: http.listen is ""
	local     net.Listener        // nil: agent.socket is ""
	uplink    *uplink.Line        // nil: there is no [uplink]
	media     *media.Library
	sweeping  sweeping
	access    *access.Log
	users     *access.Users // nil: their file cannot be read
	site      *web.Site     // nil: nobody can sign in
	opened    chan struct{} // somebody signed in to the pages
	said      *said         // warnings and errors
	startedAt call.Moment

	events chan fact     // links → ingest
	noMore chan struct{} // closed when no link may put anything into events any more
	heals  chan healing  // readers of the PBXs' own records → ingest
	groups chan group    // ingest → commit; closed when ingest has ended
	orders chan order    // anybody → commit
	asks   chan func()
	idle   chan struct{} // closed when ingest has ended: nobody answers asks any more

	committedGroups atomic.Uint64
	oneMore         chan struct{} // a group was committed: ingest looks around again

	written chan struct{} // closed when commit has ended: nobody takes orders any more

	ending    chan struct{} // closed when Run begins to end: the last commits are not waited for
	begun     time.Time
	rereading sync.Mutex
	heartbeat atomic.Int64 // when facts were last taken in: since begun, which no setting of the clock changes
	trouble   trouble
	lastCall  atomic.Pointer[api.LastCall]
	retention retention
	forwards  *forward.Forwarders
	mailings  *mail.Mailings
	screens   screens // the ingest goroutine's own
}

// Bounds of what waits in memory between a link and the disk. The links' own
// queues, which wire holds and counts, are the large ones.
const (
	eventsWaiting = 1024
	groupMost     = 8192 // changes in a group, unless Options say otherwise; then ingest waits for the commit
	factsWait     = 30 * time.Millisecond

	linksEndWithin = 5 * time.Second
	endWithin      = 12 * time.Second // all of it
)

// New opens the journal and the listeners, so that everything that can be wrong
// with them is known before anything runs. Run must follow: it closes them.
func New(o Options) (_ *Agent, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.GroupMost <= 0 {
		o.GroupMost = groupMost
	}
	if o.Connect == nil {
		o.Connect = Connect
	}
	if o.Store == nil {
		o.Store = openStore
	}
	heard := &said{now: o.Now}
	o.Logger = slog.New(listener{Handler: o.Logger.Handler(), said: heard})
	a := &Agent{
		o: o, log: o.Logger, now: o.Now, said: heard,
		events: make(chan fact, eventsWaiting), heals: make(chan healing), oneMore: make(chan struct{}, 1), groups: make(chan group), asks: make(chan func()), idle: make(chan struct{}),
		noMore: make(chan struct{}), ending: make(chan struct{}), orders: make(chan order), written: make(chan struct{}), opened: make(chan struct{}, 1),
	}
	a.startedAt = call.MomentOf(a.now())
	a.begun = a.now()
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	c := o.Config
	a.config.Store(c)
	settings, err := settingsOf(c)
	if err != nil {
		return nil, err
	}
	a.directory.Store(settings.directory)
	if err := os.MkdirAll(c.Agent.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the journal: %w", err)
	}
	a.store, err = o.Store(filepath.Join(c.Agent.DataDir, "journal.db"), storage.Options{
		Agent: c.Agent.Name, Logger: o.Logger, Now: o.Now, Counting: settings.counting,
	})
	if err != nil {
		return nil, err
	}
	if a.books, err = openBooks(a.store, settings, o.Logger, o.Now); err != nil {
		return nil, err
	}
	for _, p := range c.PBX {
		l, err := a.newLink(p)
		if err != nil {
			return nil, err
		}
		a.links = append(a.links, l)
	}
	if newest, _, err := a.store.Calls(storage.Query{Limit: 1}); err != nil {
		return nil, err
	} else if len(newest) > 0 {
		a.lastCall.Store(&api.LastCall{ID: newest[0].ID, At: newest[0].EndedAt})
	}
	a.media = library(c, o)
	a.forwards = a.newForwarders()
	a.mailings = a.newMailings()
	a.metrics = newMetrics(a)
	a.books.broken = a.metrics.panics.Inc
	a.access = access.NewLog(filepath.Join(c.Agent.DataDir, "access.log"))
	if a.users, err = access.OpenUsers(filepath.Join(c.Agent.DataDir, "users.json"), o.Now); err != nil {
		a.log.Error("nobody can sign in", "err", err)
	}
	var reload func() (applied, restart []string, err error)
	if o.Reread != nil {
		reload = a.Reread
	}
	a.server = api.New(api.Options{
		Reload: reload,
		Agent:  c.Agent.Name, Version: o.Version, Store: a.store, Status: a.Status, Live: a.Live, Blind: a.blind, Books: a,
		Media: a.media, Access: a.access, Users: a.users, Zone: c.Agent.Location(), Healthy: a.healthy, Ready: a.ready,
		DeadLetters: deadLetters{a.forwards}, Outgoing: outgoing{a.mailings, c.Agent.Name}, Rules: a.rules, Directory: a.directory.Load, Config: a.configuration, Log: a.Said, Metrics: a.metrics.registry, Logger: o.Logger, Now: o.Now,
	})
	a.server.SetTokens(tokens(c))
	if a.users != nil {
		a.site = web.New(web.Options{
			Agent: c.Agent.Name, Version: o.Version, API: a.server, Users: a.users, Changed: a.store.Changed, Head: a.store.Head, Opened: a.wake,
			Zone: c.Agent.Location(), Logger: o.Logger, Now: o.Now,
		})
		a.server.SetSite(a.site)
	}
	if a.uplink, err = a.newUplink(c, a.server.Uplink()); err != nil {
		return nil, err
	}
	return a, a.listen(c)
}

func (a *Agent) listen(c *config.Config) (err error) {
	if c.Agent.Socket != "" {
		if a.local, err = listenLocal(c.Agent.Socket); err != nil {
			return err
		}
	}
	if c.HTTP.Listen != "" {
		if a.network, err = listenNetwork(c.HTTP, a.log); err != nil {
			return err
		}
	}
	return nil
}

// openStore opens the real journal. A nil *storage.DB must not become a Store.
func openStore(path string, o storage.Options) (Store, error) {
	db, err := storage.Open(path, o)
	if err != nil {
		return nil, err
	}
	return db, nil
}

// Addr is where the HTTP interface listens, nil if it is off.
func (a *Agent) Addr() net.Addr {
	if a.network == nil {
		return nil
	}
	return a.network.Addr()
}

// close gives back what New took.
func (a *Agent) close() error {
	var errs []error
	shut := func(l io.Closer) {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if a.network != nil {
		shut(a.network)
	}
	if a.local != nil {
		shut(a.local)
	}
	if a.access != nil {
		shut(a.access)
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	return errors.Join(errs...)
}

// Run works until ctx ends, or until something fails without which there is no
// use in going on. It must be called once.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stage := func(work func()) (done chan struct{}) {
		done = make(chan struct{})
		go func() {
			defer close(done)
			work()
		}()
		return done
	}

	c := a.config.Load()
	a.forwards.Apply(forwards(c))
	a.mailings.Apply(c.Mail, c.Report, c.Alert)
	var lost error // read when committed is closed
	committed := stage(func() { lost = a.commit(cancel) })
	ingested := stage(a.ingest)
	retained := stage(func() { a.retain(ctx) })
	swept := stage(func() { a.sweep(ctx) })
	warmed := stage(func() { a.warm(ctx) })
	servers := a.serve(cancel)
	lineCtx, cutLine := context.WithCancel(context.WithoutCancel(ctx)) // the feed is served to the end
	defer cutLine()
	line := stage(func() {
		if a.uplink != nil {
			a.uplink.Run(lineCtx)
		}
	})
	var links sync.WaitGroup
	for _, l := range a.links {
		links.Go(func() { a.supervise(ctx, l) })
		if l.healer != nil {
			links.Go(func() { a.readRecords(ctx, l) })
		}
	}
	a.log.Info("calljournal runs", "agent", c.Agent.Name, "version", a.o.Version, "pbx", len(a.links), "journal", a.store.Journal(),
		"http", c.HTTP.Listen, "took", a.now().Sub(a.begun).String())
	a.say(c)
	if a.o.Started != nil {
		a.o.Started()
	}

	<-ctx.Done()
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) {
		cause = nil
	}
	a.log.Info("calljournal ends: links first")
	close(a.ending)
	end := time.Now().Add(endWithin) // of what must be written, and of what comes after it
	in := func(limit time.Duration, what string, done <-chan struct{}) bool {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-done:
			return true
		case <-timer.C:
		}
		select {
		case <-done: // as well: it is not to blame
			return true
		default:
			a.log.Error("did not end in time", "what", what)
			return false
		}
	}
	forwarded, mailed := a.forwards.End(), a.mailings.End() // while the links end: nothing is to wait for a far side
	ended := in(linksEndWithin, "links", stage(links.Wait))
	close(a.noMore) // what a link says after this is lost to a gap
	written := in(time.Until(end), "ingest", ingested) && in(time.Until(end), "commit", committed) && in(time.Until(end), "retention", retained) && in(time.Until(end), "reading ahead", warmed)
	in(forwardsEndWithin, "forwarders", forwarded)
	in(mailEndsWithin, "mail", mailed)
	in(linksEndWithin, "retention of files", swept) // a folder may hang: nothing is lost by that
	a.server.End()
	if a.site != nil {
		a.site.End()
	}
	cutLine()
	in(time.Until(end), "uplink", line)
	for _, s := range servers {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if err := s.Shutdown(ctx); err != nil {
			_ = s.Close()
		}
		cancel()
	}
	if !written {
		// The store may be in use: leave it to the end of the process.
		return errors.Join(cause, errors.New("not everything was written in time; the next run begins with a gap"))
	}
	err := errors.Join(cause, lost, a.close())
	if !ended {
		err = errors.Join(err, errors.New("a link did not end in time"))
	}
	a.log.Info("calljournal ended", "err", err)
	return err
}

// wake has warm work.
func (a *Agent) wake() {
	select {
	case a.opened <- struct{}{}:
	default:
	}
}

// warm reads ahead, until ctx ends, what searches look at, once somebody has
// signed in: a daemon whose pages nobody opens has no need of the memory.
func (a *Agent) warm(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.opened:
			if err := a.store.Warm(ctx); err != nil {
				a.log.Error("reading ahead failed", "err", err)
			}
		}
	}
}

// serve starts a server on each listener; a listener that fails ends the run.
func (a *Agent) serve(fail context.CancelCauseFunc) (servers []*http.Server) {
	start := func(l net.Listener, h http.Handler, state func(net.Conn, http.ConnState)) {
		server := api.HTTPServer(h, a.log)
		server.ConnState = state
		servers = append(servers, server)
		go func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				fail(fmt.Errorf("serve %s: %w", l.Addr(), err))
			}
		}()
	}
	if a.network != nil {
		start(a.network, transport.Behind(a.config.Load().HTTP.Proxies(), a.server.Network()), a.network.ConnState)
	}
	if a.local != nil {
		start(a.local, a.server.Local(), nil)
	}
	return servers
}

// library is where the PBXs keep sound and faxes.
func library(c *config.Config, o Options) *media.Library {
	folders := make([]media.Folders, 0, len(c.PBX))
	for _, p := range c.PBX {
		folders = append(folders, media.Folders{PBX: p.Name, Recordings: p.RecordingsDir, Voicemail: p.VoicemailDir, Fax: p.FaxDir})
	}
	return media.New(media.Options{Folders: folders, Zone: c.Agent.Location(), Logger: o.Logger, Now: o.Now})
}

// configuration is the one in force.
func (a *Agent) configuration() api.Configuration {
	c := a.config.Load()
	return api.Configuration{Path: c.Path, TOML: c.Redacted()}
}

// rules are those of the configuration in force.
func (a *Agent) rules() journal.Rules { return rules(a.config.Load()) }

func tokens(c *config.Config) []api.Token {
	out := make([]api.Token, 0, len(c.HTTP.Token))
	for _, t := range c.HTTP.Token {
		if hash, ok := t.HashedBytes(); ok {
			out = append(out, api.HashedToken(t.Name, t.Scope, hash).Limit(t.Department, t.MaskNumbers))
			continue
		}
		out = append(out, api.NewToken(t.Name, t.Scope, t.Token.Reveal()).Limit(t.Department, t.MaskNumbers))
	}
	return out
}
