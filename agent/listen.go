package agent

import (
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"calljournal/agent/config"
	"calljournal/agent/transport"
)

// listenLocal opens the control socket for its owner and group. A file that a
// killed daemon left is removed, one that a living daemon answers at is not.
func listenLocal(path string) (net.Listener, error) {
	if st, err := os.Lstat(path); err == nil {
		if st.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("control socket %s: there is a file of another kind: move it away, or set agent.socket", path)
		}
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("control socket %s: another calljournal runs and answers there: see calljournal status", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket left by a daemon that is gone: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("make the folder of the control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil && runtime.GOOS != "windows" {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

// maxConnections at a time; over that, a new one takes the place of an idle one.
const maxConnections = 4096

// listenNetwork opens http.listen.
func listenNetwork(h config.HTTP, log *slog.Logger) (*transport.Listener, error) {
	files := transport.Files{Cert: h.TLSCert, Key: h.TLSKey, CA: h.ClientCA}
	if err := files.Check(); err != nil {
		return nil, fmt.Errorf("http.tls_cert, tls_key, client_ca: %w", err)
	}
	l, err := transport.Listen(h.Listen, files, maxConnections, log)
	if err != nil {
		return nil, fmt.Errorf("http.listen: %w (another program has the port? choose one with [http] listen)", err)
	}
	return l, nil
}
