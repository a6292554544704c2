package github

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/secret"
)

// EnvSchema is the JSON Schema of the options of github_env: it has none.
const EnvSchema = `{"type": "object", "additionalProperties": false}`

// EnvKind is the sink `github_env`: a variable of the steps that follow in the
// job. Its value is masked in the job's log before it is written.
func EnvKind() secret.Kind {
	return secret.Kind{Schema: json.RawMessage(EnvSchema), Open: func(h secret.Host) (secret.Sink, error) { return &jobEnv{h}, nil }}
}

type jobEnv struct{ secret.Host }

func (s *jobEnv) file() (string, error) {
	path, ok := s.Getenv("GITHUB_ENV")
	if !ok || path == "" {
		return "", fault.New(fault.Environment, "the sink github_env needs a job of GitHub Actions: GITHUB_ENV is not set").
			WithHint("declare the sink under the environments that are deployed from there")
	}
	return path, nil
}

// Write implements secret.Sink.
func (s *jobEnv) Write(_ context.Context, req secret.Request) (secret.Receipt, error) {
	if err := checkName(req.Name); err != nil {
		return secret.Receipt{}, err
	}
	path, err := s.file()
	if err != nil {
		return secret.Receipt{}, err
	}
	end := "wfctl_" + rand.Text()
	return secret.Receipt{}, req.Value.Use(func(v []byte) error {
		if err := Mask(s.Stdout, string(v)); err != nil {
			return fault.Wrap(fault.Environment, err, "mask the value in the job's log")
		}
		return appendTo(path, fmt.Sprintf("%s<<%s\n%s\n%s\n", req.Name, end, v, end))
	})
}

// Mask has GitHub mask a value in the job's log: each line of it by itself.
func Mask(w io.Writer, value string) error {
	escape := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	for line := range strings.Lines(value) {
		if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "::add-mask::%s\n", escape.Replace(line)); err != nil {
			return err
		}
	}
	return nil
}

// Status implements secret.Sink: has this job the variable from us?
func (s *jobEnv) Status(_ context.Context, t secret.Target) (secret.Status, error) {
	path, err := s.file()
	if err != nil {
		return secret.Status{}, err
	}
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return secret.Status{}, fault.Wrap(fault.Environment, err, "read the job's environment")
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, len(raw)+1)
	for lines.Scan() {
		if bytes.HasPrefix(lines.Bytes(), []byte(t.Name+"<<")) {
			return secret.Status{Exists: true}, nil
		}
	}
	return secret.Status{}, nil
}

// Retire implements secret.Sink: the job takes it along.
func (s *jobEnv) Retire(context.Context, secret.Target) error { return nil }
