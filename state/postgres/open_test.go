package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

func isUnavailable(err error) bool { return errors.Is(err, state.ErrUnavailable) }

// What cannot be opened says why, and never the password.
func TestOpenErrors(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		code fault.Code
	}{
		"no url":      {Options{}, fault.Config},
		"not a url":   {Options{URL: "postgres://user:hunter2@host:port/db"}, fault.Config},
		"a mysql url": {Options{URL: "mysql://user:hunter2@host/db"}, fault.Config},
		"schema":      {Options{URL: "postgres://u:hunter2@h/db", Schema: `x"; DROP`}, fault.Config},
		"nobody":      {Options{URL: "postgres://user:hunter2@127.0.0.1:1/db"}, fault.State},
	} {
		d, err := Open(t.Context(), c.o, "p/e")
		if err == nil {
			err = d.Append(t.Context(), 1, []byte("x"))
			_ = d.Close()
			if !isUnavailable(err) {
				t.Errorf("%s: not said to pass: %v", name, err)
			}
		}
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != c.code || f.Hint == "" || strings.Contains(err.Error()+f.Hint, "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
