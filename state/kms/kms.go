// Package kms seals what the record holds of sensitive values with a key that
// a key management service keeps and never gives away. A value is encrypted
// here with a data key, and the service encrypts the data key: values may be
// of any size, and a command asks the service once and not once per value.
// The sub-packages speak with the services, in the few requests that this
// takes; the URLs are those of gocloud.dev/secrets, whose packages would cost
// the start of every command more than all else together.
package kms

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"sync"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

// Keeper is a key of a service. Plain texts are of 32 bytes.
type Keeper interface {
	Encrypt(ctx context.Context, plain []byte) ([]byte, error)
	Decrypt(ctx context.Context, sealed []byte) ([]byte, error)
}

// magic begins every sealed value: what it is, and its format.
const magic = "wfctl-kms/1\n"

// keySize is that of a data key, for AES-256-GCM.
const keySize = 32

// New makes a sealer that asks no service before it is used.
func New(k Keeper) state.Sealer { return &sealer{keeper: k, opened: map[string]cipher.AEAD{}} }

type sealer struct {
	keeper Keeper

	mu sync.Mutex
	// wrapped is the data key of this process as the service encrypted it.
	wrapped []byte
	own     cipher.AEAD
	opened  map[string]cipher.AEAD
}

// Seal implements state.Sealer: the magic, the length of the wrapped key in
// two bytes, the wrapped key, the nonce, and the value.
func (s *sealer) Seal(ctx context.Context, plain []byte) ([]byte, error) {
	key, wrapped, err := s.dataKey(ctx)
	if err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint16([]byte(magic), uint16(len(wrapped)))
	head = append(head, wrapped...)
	return key.Seal(head, nil, plain, head), nil
}

// dataKey makes the key of this process at the first use.
func (s *sealer) dataKey(ctx context.Context) (cipher.AEAD, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own != nil {
		return s.own, s.wrapped, nil
	}
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // never fails, by its documentation
	wrapped, err := s.keeper.Encrypt(ctx, raw)
	if err != nil {
		return nil, nil, explain(err, "encrypt")
	}
	key, err := newAEAD(raw)
	if err != nil || len(wrapped) > 1<<16-1 {
		return nil, nil, damaged()
	}
	s.own, s.wrapped, s.opened[string(wrapped)] = key, wrapped, key
	return key, wrapped, nil
}

// newAEAD is AES-256-GCM with a random nonce before each value.
func newAEAD(raw []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Open implements state.Sealer.
func (s *sealer) Open(ctx context.Context, sealed []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(sealed, []byte(magic))
	if !ok {
		return nil, fault.New(fault.State, "a value of the state was not sealed with a key of this service").
			WithHint("it was sealed with another `encryption`: `wfctl infra state rekey --former …` seals it anew")
	}
	if len(rest) < 2 || len(rest) < 2+int(binary.BigEndian.Uint16(rest)) {
		return nil, damaged()
	}
	n := len(sealed) - len(rest) + 2 + int(binary.BigEndian.Uint16(rest))
	key, err := s.unwrap(ctx, rest[2:2+int(binary.BigEndian.Uint16(rest))])
	if err != nil {
		return nil, err
	}
	plain, err := key.Open(nil, nil, sealed[n:], sealed[:n])
	if err != nil {
		return nil, damaged()
	}
	return plain, nil
}

// unwrap opens a data key, once per command.
func (s *sealer) unwrap(ctx context.Context, wrapped []byte) (cipher.AEAD, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, ok := s.opened[string(wrapped)]; ok {
		return key, nil
	}
	raw, err := s.keeper.Decrypt(ctx, wrapped)
	if err != nil {
		return nil, explain(err, "decrypt")
	}
	key, err := newAEAD(raw)
	if err != nil {
		return nil, damaged()
	}
	s.opened[string(wrapped)] = key
	return key, nil
}

func damaged() error {
	return fault.New(fault.State, "a sealed value of the state cannot be opened: it is damaged").
		WithHint("the next apply reads the value from its platform again, where that gives it")
}

func explain(err error, doing string) error {
	return fault.Wrap(fault.State, err, "the key service does not %s for the state", doing).
		WithHint("nothing was changed; check the key's URL in `encryption` of iac.state, the credentials in the environment, and the right to use the key. After a change of keys: `wfctl infra state rekey --former …`")
}
