//go:build !unix

package collect_test

import (
	"errors"
	"testing"
)

// postgres is not started here.
type postgres struct{}

func (postgres) start() error { return errors.ErrUnsupported }
func (postgres) stop() error  { return errors.ErrUnsupported }

func database(t testing.TB) (string, *postgres) {
	t.Skip("the tests start a PostgreSQL server on Unix only")
	return "", nil
}
