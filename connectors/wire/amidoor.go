package wire

import (
	"bufio"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// AskAMI plays an Asterisk to whoever knocks at a Door: it greets, reads the
// login, and accepts the door's secret. After its answer it sends nothing more:
// amigo throws away what follows a login in the same segment.
func AskAMI(conn net.Conn, secret string) error {
	if _, err := io.WriteString(conn, "Asterisk Call Manager/1.0\r\n"); err != nil {
		return err
	}
	given := ""
	lines := bufio.NewScanner(io.LimitReader(conn, 4<<10))
	for lines.Scan() {
		if lines.Text() == "" {
			if subtle.ConstantTimeCompare([]byte(given), []byte(secret)) != 1 {
				io.WriteString(conn, "Response: Error\r\nMessage: Authentication failed\r\n\r\n")
				return errors.New("a stranger at the door")
			}
			_, err := io.WriteString(conn, "Response: Success\r\nMessage: Authentication accepted\r\n\r\n")
			return err
		}
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.EqualFold(name, "Secret") {
			given = strings.TrimSpace(value)
		}
	}
	return fmt.Errorf("read the login at the door: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}
