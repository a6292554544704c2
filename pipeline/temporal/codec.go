package temporal

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/gocodealone/wfctl/fault"
)

// The metadata of what is sealed.
const (
	sealedEncoding = "binary/wfctl-sealed-1"
	keyIDField     = "wfctl-key"
)

// codec seals all that crosses with AES-256-GCM: what steps are given and
// leave, errors, signals. Temporal stores it and cannot read it.
type codec struct {
	seal  cipher.AEAD
	id    string
	opens map[string]cipher.AEAD
	// missed is told the name of each key that was missed; nil for nobody.
	missed func(key string)
}

// newCodec makes a codec of keys of 32 bytes: the first seals, each opens.
func newCodec(keys [][]byte, missed func(key string)) (*codec, error) {
	c := &codec{opens: map[string]cipher.AEAD{}, missed: missed}
	for i, key := range keys {
		if len(key) != 32 {
			return nil, fault.New(fault.Usage, "a key that seals what crosses to Temporal has %d bytes and not 32", len(key))
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append([]byte("wfctl key id\x00"), key...))
		id := hex.EncodeToString(sum[:4])
		c.opens[id] = aead
		if i == 0 {
			c.seal, c.id = aead, id
		}
	}
	if c.seal == nil {
		return nil, fault.New(fault.Usage, "there is no key to seal what crosses to Temporal")
	}
	return c, nil
}

// Encode implements converter.PayloadCodec.
func (c *codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		raw, err := proto.Marshal(p)
		if err != nil {
			return nil, err
		}
		packed, err := pack(raw)
		if err != nil {
			return nil, err
		}
		nonce := make([]byte, c.seal.NonceSize(), c.seal.NonceSize()+len(packed)+c.seal.Overhead())
		_, _ = rand.Read(nonce) // never fails, by its documentation
		out[i] = &commonpb.Payload{
			Metadata: map[string][]byte{converter.MetadataEncoding: []byte(sealedEncoding), keyIDField: []byte(c.id)},
			Data:     c.seal.Seal(nonce, nonce, packed, []byte(c.id)),
		}
	}
	return out, nil
}

// Decode implements converter.PayloadCodec. What is not sealed is refused: an
// input that anybody could have written is none of ours. A workflow does not
// fail of what one worker cannot open: its task does, and another worker's may
// not.
func (c *codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		opened, err := c.open(p)
		if errors.Is(err, errNoKey) {
			return nil, converter.NewWorkflowTaskFailureError(err)
		}
		if err != nil {
			return nil, err
		}
		out[i] = opened
	}
	return out, nil
}

// errNoKey: something was sealed with a key that is not here.
var errNoKey = errors.New("it sealed what is in Temporal")

func (c *codec) open(p *commonpb.Payload) (*commonpb.Payload, error) {
	if string(p.GetMetadata()[converter.MetadataEncoding]) != sealedEncoding {
		return nil, fault.New(fault.Integrity, "something in Temporal was not sealed by wfctl")
	}
	id := string(p.GetMetadata()[keyIDField])
	aead, ok := c.opens[id]
	if !ok {
		if c.missed != nil {
			c.missed(id)
		}
		return nil, fault.Wrap(fault.Environment, errNoKey, "this process has no key %s", id).
			WithHint("give it that key too, behind the newer one")
	}
	n := aead.NonceSize()
	if len(p.GetData()) < n {
		return nil, fault.New(fault.Integrity, "something in Temporal is damaged")
	}
	packed, err := aead.Open(nil, p.GetData()[:n], p.GetData()[n:], []byte(id))
	if err != nil {
		return nil, fault.New(fault.Integrity, "something in Temporal is damaged, or was not sealed by wfctl")
	}
	raw, err := unpack(packed)
	if err != nil {
		return nil, err
	}
	opened := &commonpb.Payload{}
	return opened, proto.Unmarshal(raw, opened)
}

// small is what is not worth compressing.
const small = 512

// pack compresses, and says in the first byte whether it did.
func pack(raw []byte) ([]byte, error) {
	if len(raw) < small {
		return append([]byte{0}, raw...), nil
	}
	var b bytes.Buffer
	b.WriteByte(1)
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(raw); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// unpackLimit bounds what a payload may become.
const unpackLimit = 64 << 20

func unpack(packed []byte) ([]byte, error) {
	if len(packed) == 0 || packed[0] > 1 {
		return nil, fault.New(fault.Integrity, "something in Temporal is damaged")
	}
	if packed[0] == 0 {
		return packed[1:], nil
	}
	r := flate.NewReader(bytes.NewReader(packed[1:]))
	raw, err := io.ReadAll(io.LimitReader(r, unpackLimit+1))
	if err == nil && len(raw) > unpackLimit {
		err = fault.New(fault.Integrity, "something in Temporal is too large")
	}
	return raw, err
}

// seals makes the converters of a process.
func seals(keys [][]byte, missed func(key string)) (converter.DataConverter, error) {
	c, err := newCodec(keys, missed)
	if err != nil {
		return nil, err
	}
	return converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), c), nil
}
