package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/term"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/secret"
)

// protect puts the redactor before everything that the command writes. The
// function that it returns writes what is held back and takes it away again.
func (a *App) protect() func() {
	if a.Secrets == nil {
		a.Secrets = secret.NewRedactor()
	}
	stdout, stderr := a.Stdout, a.Stderr
	a.commandsOut = stdout
	maskedOut, maskedErr := a.Secrets.Writer(stdout), a.Secrets.Writer(stderr)
	a.Stdout, a.Stderr = maskedOut, maskedErr
	return func() {
		_ = errors.Join(maskedOut.Flush(), maskedErr.Flush()) // there is nowhere left to report it
		a.Stdout, a.Stderr = stdout, stderr
	}
}

// terminal returns the terminal that a writer ends in, if it is one.
func terminal(w io.Writer) (*os.File, bool) {
	for {
		inner, ok := w.(interface{ Unwrap() io.Writer })
		if !ok {
			break
		}
		w = inner.Unwrap()
	}
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// guarded turns a panic into an error: the runtime would print it past every
// mask.
func guarded(command func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "wfctl panicked: %v", p).
				WithDetail(strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")...).
				WithHint("this is a mistake in wfctl; what was done is recorded, and the next command goes on from there")
		}
	}()
	return command()
}

// learnEnvironment makes known what the environment itself calls a token,
// a password or a key: providers and sinks take their own from there.
func learnEnvironment(environ []string, r *secret.Redactor) {
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if namesSecret(name) && !strings.HasPrefix(value, "/") { // a path says where it is
			r.Add(secret.FromString(value))
		}
	}
}

func namesSecret(name string) bool {
	name = strings.ToUpper(name)
	for _, end := range []string{"TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "SECRET_ID", "SECRET_KEY", "API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY", "AGE_KEY"} {
		if name == end || strings.HasSuffix(name, "_"+end) || name == "PG"+end {
			return true
		}
	}
	return false
}

// revealTo writes a value that was asked for past the mask.
func revealTo(w io.Writer, value string) error {
	if m, ok := w.(*secret.Writer); ok {
		return m.WriteRevealed([]byte(value))
	}
	_, err := fmt.Fprint(w, value)
	return err
}
