// Package age seals what the record holds of sensitive values with age
// (filippo.io/age): for the recipients that the module iac.state names. Whoever
// writes needs the recipients alone; whoever reads needs an identity, which
// comes from the environment or the user's own folder and never from the
// configuration.
package age

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

// Where identities are looked for, in this order; then age.txt in wfctl's
// folder of the user's configuration.
const (
	keyVariable  = "WFCTL_AGE_KEY"
	fileVariable = "WFCTL_AGE_KEY_FILE"
)

// Options are what `encryption: {age: …}` says.
type Options struct {
	Recipients []string `json:"recipients"`
}

// Schema is the JSON Schema of [Options].
const Schema = `{"type": "object", "additionalProperties": false, "required": ["recipients"], "properties": {
	"recipients": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^age1[0-9a-z]+$"}, "description": "public keys, as age-keygen prints them"}}}`

// New makes a sealer. It reads no identity before one is needed.
func New(o Options, getenv func(string) (string, bool)) (state.Sealer, error) {
	s := &sealer{getenv: getenv}
	for _, text := range o.Recipients {
		list, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil {
			return nil, fault.Wrap(fault.Config, err, "iac.state: %q is no age recipient", text).
				WithHint("a recipient is the public key that `age-keygen` prints, beginning with age1")
		}
		s.recipients = append(s.recipients, list...)
	}
	if len(s.recipients) == 0 {
		return nil, fault.New(fault.Config, "iac.state: `encryption.age` names no recipients").
			WithHint("list the public keys of all who work on this state")
	}
	return s, nil
}

type sealer struct {
	recipients []age.Recipient
	getenv     func(string) (string, bool)
}

// Seal implements state.Sealer.
func (s *sealer) Seal(_ context.Context, plain []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, s.recipients...)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "seal a sensitive value")
	}
	return b.Bytes(), nil
}

// Open implements state.Sealer.
func (s *sealer) Open(_ context.Context, sealed []byte) ([]byte, error) {
	identities, where, err := s.identities()
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fault.New(fault.State, "the age key from %s cannot open what the state holds", where).
			WithHint("it was sealed for other recipients: use the key of one of them, or have one of them run `wfctl infra state rekey`")
	}
	var plain []byte
	if err == nil {
		plain, err = io.ReadAll(r)
	}
	if err != nil {
		return nil, fault.Wrap(fault.State, err, "open a sealed value of the state").
			WithHint("it is damaged; the next apply reads the value from its platform again, where that gives it")
	}
	return plain, nil
}

// identities reads the private keys, and says where they are from.
func (s *sealer) identities() ([]age.Identity, string, error) {
	if text, ok := s.getenv(keyVariable); ok && text != "" {
		return parse(strings.NewReader(text), keyVariable)
	}
	path, ok := s.getenv(fileVariable)
	if !ok || path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, "", missing()
		}
		path = filepath.Join(dir, "wfctl", "age.txt")
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", missing()
	}
	if err != nil {
		return nil, "", fault.Wrap(fault.Environment, err, "read the age key").WithHint("it must be readable by you alone")
	}
	defer f.Close() //nolint:errcheck // only read
	return parse(f, path)
}

func parse(r io.Reader, where string) ([]age.Identity, string, error) {
	list, err := age.ParseIdentities(r)
	if err != nil {
		// The cause may quote the key.
		return nil, "", fault.New(fault.Environment, "%s holds no age key", where).
			WithHint("it is what `age-keygen` writes: a line that begins with AGE-SECRET-KEY-1")
	}
	return list, where, nil
}

func missing() error {
	return fault.New(fault.Environment, "the state is encrypted, and there is no age key here").
		WithHint("set %s or %s, or put the key into age.txt in wfctl's folder of your configuration", keyVariable, fileVariable)
}
