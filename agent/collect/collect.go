package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"calljournal/agent/config"
	"calljournal/agent/transport"

	"github.com/cenkalti/backoff/v5"
)

// Options of New. All but Started must be set.
type Options struct {
	Config  *config.Collect
	Logger  *slog.Logger
	Version string
	Now     func() time.Time
	// Started is called once, when the listener is open and the tables are there.
	Started func()
}

// Collector is one centre. New takes what it needs, Run works and gives it back.
type Collector struct {
	o        Options
	log      *slog.Logger
	store    *store
	room     *room
	listener *transport.Listener // nil: collect.listen is ""
	guesses  *transport.Guesses
	metrics  *metrics
	pushing  chan struct{} // one slot for each push that is being taken

	mu        sync.Mutex
	config    *config.Collect
	branches  map[string]*running
	following bool           // Run has started those that are configured, and does not end yet
	work      sync.WaitGroup // of the branches
}

// running is a branch and how to end it.
type running struct {
	*branch
	cancel context.CancelFunc
	ended  chan struct{}
}

// over says that nobody follows the agent by this branch any more.
func (r *running) over() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

const (
	maxConnections = 16384 // uplinks hold one each
	maxPushing     = 32
	maxHeader      = 16 << 10
)

// New opens the listener and reads what there is to be read, so that what is
// wrong is known before anything runs. The database need not be there yet. Run
// must follow.
func New(o Options) (*Collector, error) {
	c := &Collector{
		o: o, log: o.Logger, config: o.Config, room: &room{left: maxRoom}, guesses: transport.NewGuesses(o.Now),
		pushing: make(chan struct{}, maxPushing), branches: map[string]*running{},
	}
	s := o.Config.Collect
	files := transport.Files{Cert: s.TLSCert, Key: s.TLSKey, CA: s.ClientCA}
	if err := files.Check(); err != nil {
		return nil, fmt.Errorf("collect.tls_cert, tls_key, client_ca: %w", err)
	}
	var err error
	if c.store, err = openStore(o.Config.Database.DSN.Reveal(), o.Config.Database.Connections); err != nil {
		return nil, err
	}
	c.metrics = newMetrics(c)
	if s.Listen != "" {
		if c.listener, err = transport.Listen(s.Listen, files, maxConnections, o.Logger); err != nil {
			c.store.close()
			return nil, fmt.Errorf("collect.listen: %w (another program has the port? choose one with [collect] listen)", err)
		}
	}
	return c, nil
}

// Addr is where the centre listens, nil if it does not.
func (c *Collector) Addr() net.Addr {
	if c.listener == nil {
		return nil
	}
	return c.listener.Addr()
}

// Run works until ctx ends, or until something fails without which there is no
// use in going on. It must be called once.
func (c *Collector) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer c.store.close()
	var server *http.Server
	if c.listener != nil {
		server = &http.Server{
			Handler: transport.Behind(c.o.Config.Collect.Proxies(), c.routes()), ConnState: c.listener.ConnState,
			ReadHeaderTimeout: 5 * time.Second, ReadTimeout: pageWithin, WriteTimeout: pageWithin, IdleTimeout: 2 * time.Minute,
			MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
		}
		defer server.Close()
		go func() {
			if err := server.Serve(c.listener); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("serve %s: %w", c.Addr(), err))
			}
		}()
	}
	if err := c.tables(ctx); err != nil {
		return err
	}
	for _, w := range c.o.Config.Warnings {
		c.log.Warn(w)
	}
	// They end after those who wait for them.
	writing, endWriting := context.WithCancel(context.WithoutCancel(ctx))
	var writers sync.WaitGroup
	defer writers.Wait()
	defer endWriting()
	for range c.o.Config.Database.Connections {
		writers.Go(func() { c.store.write(writing) })
	}
	c.mu.Lock()
	c.following = true
	agents := c.config.Agent // as a Reload left them that came while the database was not there
	for _, b := range agents {
		c.start(ctx, b)
	}
	c.mu.Unlock()
	c.log.Info("collect runs", "version", c.o.Version, "agents", len(agents), "listen", c.o.Config.Collect.Listen)
	if c.o.Started != nil {
		c.o.Started()
	}
	<-ctx.Done()
	c.log.Info("collect ends")
	c.mu.Lock()
	c.following = false
	c.mu.Unlock()
	c.work.Wait() // each ends with the transaction it is in, or gives it up
	if server != nil {
		end, stop := context.WithTimeout(context.Background(), 2*time.Second)
		_ = server.Shutdown(end) // a push that is being stored is answered
		stop()
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// tables waits for the database and makes or updates the tables in it.
func (c *Collector) tables(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstPause, 30*time.Second
	for {
		err := c.store.migrate(ctx)
		if err == nil || errors.Is(err, errSchema) {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		wait := pause.NextBackOff()
		c.log.Error("the database is not there yet", "err", err, "again_in", wait.Round(time.Millisecond).String())
		sleep(ctx, wait)
	}
}

// start begins to follow an agent. c.mu is held.
func (c *Collector) start(ctx context.Context, of config.Branch) {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{newBranch(of, c.config.Collect, c.store, c.room, c.log, c.o.Now), cancel, make(chan struct{})}
	c.branches[of.Name] = r
	c.work.Go(func() {
		defer r.dropLine() // who brings one later sees that it is over
		defer close(r.ended)
		if of.Via == config.ViaPush {
			r.await(ctx)
			return
		}
		r.run(ctx)
	})
}

// Reload takes over agents, readers and their tokens, and names what it cannot.
// ctx is that of Run.
func (c *Collector) Reload(ctx context.Context, next *config.Collect) (applied, restart []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.config
	if !reflect.DeepEqual(next.Collect, old.Collect) {
		restart = append(restart, "[collect]")
	}
	if next.Database != old.Database {
		restart = append(restart, "[database]")
	}
	if next.Log != old.Log {
		applied = append(applied, "log.level")
	}
	if !slices.Equal(next.Reader, old.Reader) {
		applied = append(applied, "[[reader]]")
	}
	was, is := byName(old.Agent), byName(next.Agent)
	for name := range was {
		if _, stays := is[name]; !stays {
			applied = append(applied, "agent "+name)
		}
	}
	for name, b := range is {
		if was[name] != b {
			applied = append(applied, "agent "+name)
		}
	}
	var ended []*running
	for name, r := range c.branches {
		if is[name] != r.c {
			r.cancel()
			delete(c.branches, name)
			ended = append(ended, r)
		}
	}
	for _, r := range ended {
		<-r.ended // two that follow one agent would trip over each other
	}
	merged := *next
	merged.Collect, merged.Database = old.Collect, old.Database
	c.config = &merged
	for _, b := range next.Agent {
		if c.branches[b.Name] == nil && c.following && ctx.Err() == nil {
			c.start(ctx, b)
		}
	}
	slices.Sort(applied)
	c.log.Info("configuration read again", "applied", strings.Join(applied, ", "))
	if len(restart) > 0 {
		c.log.Warn("changed, but needs a restart", "keys", strings.Join(restart, ", "))
	}
	return applied, restart
}

func byName(agents []config.Branch) map[string]config.Branch {
	all := make(map[string]config.Branch, len(agents))
	for _, b := range agents {
		all[b.Name] = b
	}
	return all
}

// branch finds an agent by its name, nil if there is none.
func (c *Collector) branch(name string) *running {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.branches[name]
}

// Looks says how each branch is: those that need somebody first, then by name.
func (c *Collector) Looks(ctx context.Context) ([]Look, error) {
	c.mu.Lock()
	looks := make([]Look, 0, len(c.branches))
	for _, r := range c.branches {
		looks = append(looks, r.Look())
	}
	c.mu.Unlock()
	gaps, err := c.store.gaps(ctx)
	for i := range looks {
		looks[i].Gaps = gaps[looks[i].Name]
	}
	slices.SortFunc(looks, func(a, b Look) int {
		return cmp.Or(boolOrder(a.State == Up, b.State == Up), cmp.Compare(a.Name, b.Name))
	})
	return looks, err
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
