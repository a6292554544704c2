package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// format is the version of what is written. A reader refuses newer ones.
const format = 1

// kind names an entry.
type kind string

const (
	kindLease    kind = "lease"
	kindRenew    kind = "renew"
	kindRelease  kind = "release"
	kindIntent   kind = "intent"
	kindAssigned kind = "assigned"
	kindResult   kind = "result"
	kindForgot   kind = "forgot"
	kindAbandon  kind = "abandon"
	kindMove     kind = "move"
	kindProvider kind = "provider"
)

// entry is one thing that happened.
type entry struct {
	Kind kind `json:"k"`
	// Holder of a new lease; Broke is the lease that it ended, Dead that the
	// process of that one is known to be gone.
	Holder *Holder `json:"holder,omitempty"`
	Broke  string  `json:"broke,omitempty"`
	Dead   bool    `json:"dead,omitempty"`
	// Expires is when a lease or its renewal ends.
	Expires  *time.Time               `json:"exp,omitempty"`
	Intent   *resource.Intent         `json:"intent,omitempty"`
	Key      string                   `json:"key,omitempty"`
	ID       string                   `json:"id,omitempty"`
	Record   *resource.Record         `json:"rec,omitempty"`
	Address  resource.Address         `json:"addr,omitempty"`
	Deposed  string                   `json:"dep,omitempty"`
	To       *resource.Key            `json:"to,omitempty"`
	Provider *resource.ProviderRecord `json:"prov,omitempty"`
}

// batch is what one append stores: entries that became durable together.
type batch struct {
	Format  int       `json:"v"`
	Lineage string    `json:"lineage,omitempty"`
	Lease   string    `json:"lease,omitempty"`
	Number  uint64    `json:"n"` // counts the batches of a lease
	Time    time.Time `json:"t"`
	Entries []entry   `json:"e"`
}

// snapshot is the view at a sequence number.
type snapshot struct {
	Format    int                       `json:"v"`
	Lineage   string                    `json:"lineage"`
	Time      time.Time                 `json:"t"`
	Records   []resource.Record         `json:"records"`
	Providers []resource.ProviderRecord `json:"providers,omitempty"`
	Pending   []pendingEntry            `json:"pending,omitempty"`
	Lease     *lease                    `json:"lease,omitempty"`
	Ended     []string                  `json:"ended,omitempty"`
}

type pendingEntry struct {
	Intent   resource.Intent `json:"intent"`
	Assigned string          `json:"assigned,omitempty"`
	Lease    string          `json:"lease"`
}

// decode reads a batch or a snapshot strictly.
func decode(raw []byte, into any, seq uint64) error {
	var head struct {
		Format int `json:"v"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return corrupt(seq, err)
	}
	if head.Format > format {
		return fault.New(fault.State, "the state was written by a newer wfctl (format %d, this one reads %d)", head.Format, format).
			WithHint("use that version, or a newer one")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return corrupt(seq, err)
	}
	return nil
}

func corrupt(seq uint64, err error) error {
	return fault.Wrap(fault.State, err, "entry %d of the state cannot be read", seq).
		WithHint("nothing was changed; restore the storage from a backup. What runs on the platforms is found by `wfctl infra teardown --dry-run`")
}

// describe tells an entry in a few words, for the history.
func (e *entry) describe() string {
	switch e.Kind {
	case kindLease:
		if e.Broke != "" {
			return fmt.Sprintf("%s, after a lease that ended without release", e.Holder)
		}
		return e.Holder.String()
	case kindIntent:
		return fmt.Sprintf("%s %s %s", e.Intent.Operation, e.Intent.Type, e.Intent.Name)
	case kindAssigned:
		return e.ID
	case kindResult:
		s := fmt.Sprintf("%s %s", e.Record.Type, e.Record.ID)
		if e.Record.Status != resource.Ready {
			s += " (" + string(e.Record.Status) + ")"
		}
		return s
	case kindMove:
		return "to " + string(e.To.Address)
	case kindProvider:
		return e.Provider.Kind + " " + e.Provider.Version
	}
	return ""
}

// address is what an entry is about; "" for the log itself.
func (e *entry) address() resource.Address {
	switch {
	case e.Intent != nil:
		return e.Intent.Address
	case e.Record != nil:
		return e.Record.Address
	case e.Provider != nil:
		return e.Provider.Address
	}
	return e.Address
}
