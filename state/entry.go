package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// format is the version of what is written. Decoding is strict, so a new
// field needs a new version.
const format = 1

// batch is what one driver entry holds: everything that arrived while the
// entry before was being written.
type batch struct {
	Time time.Time `json:"t"`
	// Session is who wrote it; only the lease's holder may.
	Session string `json:"s"`
	// Prev is the checksum of the entry before, so that an entry which got
	// lost, or came from another log, is noticed.
	Prev  uint32 `json:"p,omitempty"`
	Items []item `json:"e,omitempty"`
}

// item is one typed entry; exactly one field is set.
type item struct {
	Genesis   *genesis                 `json:"genesis,omitempty"`
	Lease     *leaseItem               `json:"lease,omitempty"`
	Released  *released                `json:"released,omitempty"`
	Key       *keyItem                 `json:"key,omitempty"`
	Intent    *resource.Intent         `json:"intent,omitempty"`
	Assigned  *assigned                `json:"assigned,omitempty"`
	Result    *result                  `json:"result,omitempty"`
	Forgot    *forgot                  `json:"forgot,omitempty"`
	Abandoned *abandoned               `json:"abandoned,omitempty"`
	Moved     *moved                   `json:"moved,omitempty"`
	Provider  *resource.ProviderRecord `json:"provider,omitempty"`
	Relocated *relocated               `json:"relocated,omitempty"`
}

// genesis is the first entry of a log.
type genesis struct {
	Lineage     string `json:"lineage"`
	Project     string `json:"project"`
	Environment string `json:"env"`
}

// leaseItem takes the lease.
type leaseItem struct {
	Holder Holder        `json:"holder"`
	TTL    time.Duration `json:"ttl"`
	// Dead: the holder before is known to be gone, and its calls with it.
	Dead bool `json:"dead,omitempty"`
}

// released gives the lease back, or, with By, breaks it. Dead: the holder is
// known to be gone.
type released struct {
	By   *Holder `json:"by,omitempty"`
	Dead bool    `json:"dead,omitempty"`
}

// keyItem names the fingerprint key in use; Sealed is the key for whoever can
// open it.
type keyItem struct {
	ID     string `json:"id"`
	Sealed []byte `json:"sealed,omitempty"`
}

type assigned struct {
	Intent string `json:"intent"`
	ID     string `json:"id"`
}

// result is a resource's record. Same says that the record has the intent's
// name, type, provider, configuration, dependencies and lifecycle, which are
// then left out.
type result struct {
	Intent string          `json:"intent,omitempty"`
	Same   bool            `json:"same,omitempty"`
	Record resource.Record `json:"rec"`
}

type forgot struct {
	Intent  string           `json:"intent,omitempty"`
	Address resource.Address `json:"addr"`
	Deposed string           `json:"deposed,omitempty"`
}

type abandoned struct {
	Intent string `json:"intent"`
}

type moved struct {
	From        resource.Address `json:"from"`
	FromDeposed string           `json:"from_deposed,omitempty"`
	To          resource.Address `json:"to"`
	ToDeposed   string           `json:"to_deposed,omitempty"`
}

// relocated ends a log whose state lives elsewhere now.
type relocated struct {
	To string `json:"to"`
}

// The header of every entry: what it is, its format, the CRC-32C of the rest.
const (
	entryMagic    = "wfctl-log/"
	snapshotMagic = "wfctl-snapshot/"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode frames a value. It returns the checksum besides the bytes.
func encode(magic string, v any) ([]byte, uint32, error) {
	body, err := marshal(v)
	if err != nil {
		return nil, 0, err
	}
	data, sum := frame(magic, body)
	return data, sum, nil
}

// frame puts the header before a body.
func frame(magic string, body []byte) ([]byte, uint32) {
	sum := crc32.Checksum(body, castagnoli)
	data := make([]byte, 0, len(magic)+12+len(body))
	data = fmt.Appendf(data, "%s%d %08x\n", magic, format, sum)
	return append(data, body...), sum
}

// marshal encodes without escaping HTML, so that configurations come back
// byte for byte.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "encode an entry of the state")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// encodeBatch frames a batch whose items are encoded already.
func encodeBatch(b batch, items [][]byte) ([]byte, uint32, error) {
	b.Items = nil
	head, err := marshal(b)
	if err != nil || len(items) == 0 {
		data, sum := frame(entryMagic, head)
		return data, sum, err
	}
	body := append(head[:len(head)-1], `,"e":[`...)
	body = append(body, bytes.Join(items, []byte(","))...)
	data, sum := frame(entryMagic, append(body, "]}"...))
	return data, sum, nil
}

// decode takes a frame apart into v and returns its checksum.
func decode(magic string, data []byte, v any) (uint32, error) {
	head, body, ok := bytes.Cut(data, []byte("\n"))
	rest, isOurs := bytes.CutPrefix(head, []byte(magic))
	version, sumText, hasSum := bytes.Cut(rest, []byte(" "))
	if !ok || !isOurs || !hasSum {
		return 0, damaged("it does not begin as one")
	}
	n, err := strconv.Atoi(string(version))
	switch {
	case err != nil || n < 1:
		return 0, damaged("it does not begin as one")
	case n > format:
		return 0, fault.New(fault.State, "the state is of format %d, and this wfctl knows formats up to %d", n, format).
			WithHint("a newer wfctl has written it; update wfctl to at least that version")
	}
	sum, err := strconv.ParseUint(string(sumText), 16, 32)
	if got := crc32.Checksum(body, castagnoli); err != nil || uint32(sum) != got {
		return 0, damaged("its checksum is wrong")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return 0, damaged(err.Error())
	}
	return uint32(sum), nil
}

func damaged(why string) *fault.Error {
	return fault.New(fault.State, "the state is damaged: an entry cannot be read: %s", why).
		WithHint("nothing was changed; bring the state back from a copy, and do not remove it: what it records exists")
}

// decodeBatch reads an entry of the log.
func decodeBatch(data []byte) (*batch, uint32, error) {
	var b batch
	sum, err := decode(entryMagic, data, &b)
	if err != nil {
		return nil, 0, err
	}
	for _, it := range b.Items {
		if it == (item{}) {
			return nil, 0, damaged("it holds nothing")
		}
	}
	return &b, sum, nil
}
