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

// AskESL plays a FreeSWITCH to whoever knocks at a Door: it asks for the
// password and accepts the door's secret.
func AskESL(conn net.Conn, secret string) error {
	if _, err := io.WriteString(conn, "Content-Type: auth/request\n\n"); err != nil {
		return err
	}
	lines := bufio.NewScanner(io.LimitReader(conn, 4<<10))
	for lines.Scan() {
		given, ok := strings.CutPrefix(lines.Text(), "auth ")
		if !ok {
			continue
		}
		if subtle.ConstantTimeCompare([]byte(given), []byte(secret)) != 1 {
			io.WriteString(conn, "Content-Type: command/reply\nReply-Text: -ERR invalid\n\n")
			return errors.New("a stranger at the door")
		}
		_, err := io.WriteString(conn, "Content-Type: command/reply\nReply-Text: +OK accepted\n\n")
		return err
	}
	return fmt.Errorf("read the password at the door: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}
