//go:build unix

package collect_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// postgres is a private PostgreSQL server that only a socket in dir leads to.
type postgres struct {
	bin, dir string
	who      *syscall.SysProcAttr
	names    int
	watcher  *exec.Cmd
	mu       sync.Mutex
}

// started says that there may be a server to end.
var started atomic.Bool

// server is the one that all tests of the package share; TestMain ends it.
var server = sync.OnceValues(startPostgres)

func TestMain(m *testing.M) {
	code := m.Run()
	if started.Load() {
		if p, err := server(); err == nil {
			p.end()
		}
	}
	os.Exit(code)
}

// database gives the address of a new, empty database.
func database(t testing.TB) (dsn string, p *postgres) {
	t.Helper()
	p, err := server()
	if err != nil {
		t.Skip(err)
	}
	p.mu.Lock()
	p.names++
	name := fmt.Sprintf("test_%d", p.names)
	p.mu.Unlock()
	c, err := pgx.Connect(t.Context(), p.dsn("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return p.dsn(name), p
}

func (p *postgres) dsn(name string) string {
	return fmt.Sprintf("host=%s user=calljournal dbname=%s", p.dir, name)
}

func startPostgres() (*postgres, error) {
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(bins) == 0 {
		path, err := exec.LookPath("initdb")
		if err != nil {
			return nil, fmt.Errorf("there is no PostgreSQL server on this machine (package postgresql)")
		}
		bins = []string{path}
	}
	slices.Sort(bins)
	// The path of a socket may have 107 bytes only: not below t.TempDir.
	dir, err := os.MkdirTemp("/tmp", "collect-pg-")
	if err != nil {
		return nil, err
	}
	p := &postgres{bin: filepath.Dir(bins[len(bins)-1]), dir: dir}
	if os.Geteuid() == 0 { // which PostgreSQL refuses to run as
		who, err := user.Lookup("nobody")
		if err != nil {
			return nil, err
		}
		uid, err := strconv.Atoi(who.Uid)
		if err != nil {
			return nil, err
		}
		if err := os.Chown(dir, uid, -1); err != nil {
			return nil, err
		}
		p.who = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	started.Store(true)
	if err := p.run("initdb", "-D", p.data(), "-U", "calljournal", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"); err != nil {
		return nil, err
	}
	if err := p.watch(); err != nil {
		return nil, err
	}
	return p, p.start()
}

// watch has a shell end the server when this process is gone, however it went: a
// test that is killed at its time limit runs no TestMain to its end.
func (p *postgres) watch() error {
	c := exec.Command("sh", "-c", `cat >/dev/null; "$0"/pg_ctl -D "$1"/data -m immediate stop >/dev/null 2>&1; rm -rf "$1"`, p.bin, p.dir)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.who != nil {
		c.SysProcAttr.Credential = p.who.Credential
	}
	c.Dir = "/"
	if _, err := c.StdinPipe(); err != nil { // open as long as this process
		return err
	}
	p.watcher = c
	return c.Start()
}

func (p *postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *postgres) run(name string, args ...string) error {
	c := exec.Command(filepath.Join(p.bin, name), args...)
	c.Dir, c.SysProcAttr = p.dir, p.who
	// A file, for a pipe would stay open as long as the server runs.
	log, err := os.OpenFile(filepath.Join(p.dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	if err := c.Run(); err != nil {
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%s: %w: %s", name, err, said)
	}
	return nil
}

func (p *postgres) start() error {
	return p.run("pg_ctl", "-D", p.data(), "-w", "-l", filepath.Join(p.dir, "server.log"),
		"-o", fmt.Sprintf("-k %s -c listen_addresses='' -c max_connections=50", p.dir), "start")
}

// stop ends the server as a power cut would: without a word to anybody.
func (p *postgres) stop() error {
	return p.run("pg_ctl", "-D", p.data(), "-w", "-m", "immediate", "stop")
}

func (p *postgres) end() {
	_ = p.stop()
	_ = os.RemoveAll(p.dir)
}
