package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gocodealone/wfctl/resource"
)

// Claim is a source that says that a resource is the environment's.
type Claim string

// The sources.
const (
	ByConfiguration Claim = "configuration"
	ByTags          Claim = "tags"
	ByState         Claim = "state"
	ByJournal       Claim = "journal"
)

// Fate is what a teardown does about a resource.
type Fate string

// The fates, in the order in which a preview shows them.
const (
	// Doomed: it is there and goes.
	Doomed Fate = "destroy"
	// Missing: it is not there.
	Missing Fate = "not_found"
	// Kept: it is there, it is protected, and it stays.
	Kept Fate = "keep"
	// Left: an orphan that was not asked for.
	Left Fate = "leave"
	// Foreign: there is one of that name, and it is somebody else's.
	Foreign Fate = "foreign"
	// Unread: its provider could not be asked.
	Unread Fate = "error"
)

var fates = []Fate{Doomed, Missing, Kept, Left, Foreign, Unread}

// Found is one resource that a teardown has looked for.
type Found struct {
	// Record is the resource as state has it, or would have it; its ID is ""
	// where it was not found.
	Record resource.Record
	Claims []Claim
	Fate   Fate
	// Reason says why it is kept, or could not be asked.
	Reason string
	// Err is why it could not be asked.
	Err error
	// Recorded: state has a record under its key.
	Recorded bool
	// Orphan: it is in no configuration.
	Orphan bool
	// Untagged: it was found by its name alone.
	Untagged bool
	// Again: it could not be asked for because of what an earlier one of its
	// provider tells.
	Again bool
}

// Why is the reason, told in full once.
func (f Found) Why() string {
	if f.Again {
		return "for the same reason"
	}
	return f.Reason
}

// StateFate is what a teardown does about the record.
type StateFate struct {
	// Place says where it is, to a person.
	Place string `json:"place"`
	// Objects is how many objects it has there.
	Objects int `json:"objects"`
	// Wipe: it goes, after everything else.
	Wipe bool `json:"wipe"`
	// Reason says why it stays; Trouble why it could not be used.
	Reason  string `json:"reason,omitempty"`
	Trouble string `json:"trouble,omitempty"`
	// Aside: it is damaged as a whole and is not deleted but put aside.
	Aside bool `json:"aside,omitempty"`
}

// Teardown is a plan to remove what an environment has, whatever its record
// says. Embedded is what is carried out.
type Teardown struct {
	*Plan
	// Found are all that were looked for: what goes first in the order in
	// which it goes, the others by fate and address.
	Found []Found
	State StateFate
}

// TeardownInput is all that a teardown depends on.
type TeardownInput struct {
	Environment resource.Environment
	Found       []Found
	Catalog     Catalog
}

// BuildTeardown makes a teardown: who must go before whom, and what stays
// because something that is protected stands on it.
func BuildTeardown(in TeardownInput) (*Teardown, error) {
	t := &Teardown{
		Plan:  &Plan{Environment: in.Environment, byKey: map[resource.Key]Change{}},
		Found: slices.Clone(in.Found),
	}
	slices.SortStableFunc(t.Found, compareFound)
	t.separate()
	t.spread()
	for _, f := range t.Found {
		t.change(f)
	}
	t.connect(in.Catalog)
	if err := t.arrange(); err != nil {
		return nil, err
	}
	t.seal()
	return t, nil
}

func compareFound(a, b Found) int {
	return cmp.Or(cmp.Compare(a.Record.Address, b.Record.Address), cmp.Compare(a.Record.Deposed, b.Record.Deposed),
		cmp.Compare(a.Record.Type, b.Record.Type), cmp.Compare(a.Record.ID, b.Record.ID))
}

// separate gives each a key of its own: several may carry one module's tags.
// Those that state has keep theirs.
func (t *Teardown) separate() {
	taken := map[resource.Key]bool{}
	for _, f := range t.Found {
		if f.Recorded {
			taken[f.Record.Key()] = true
		}
	}
	for i := range t.Found {
		rec := &t.Found[i].Record
		if t.Found[i].Recorded {
			continue
		}
		for taken[rec.Key()] {
			rec.Deposed += "~" + rec.ID
		}
		taken[rec.Key()] = true
	}
}

// spread keeps what is protected, and what that and what is left stand on.
func (t *Teardown) spread() {
	depends := map[resource.Address][]resource.Address{}
	for _, f := range t.Found {
		depends[f.Record.Address] = append(depends[f.Record.Address], f.Record.DependsOn...)
	}
	why := map[resource.Address]string{}
	for i := range t.Found {
		f := &t.Found[i]
		if f.Fate == Doomed && f.Record.Lifecycle.PreventDestroy {
			f.Fate, f.Reason = Kept, "prevent_destroy protects it"
		}
		if f.Fate != Kept && f.Fate != Left {
			continue
		}
		for addr := range closure(f.Record.DependsOn, func(a resource.Address) []resource.Address { return depends[a] }) {
			if _, known := why[addr]; !known && addr != f.Record.Address {
				why[addr] = fmt.Sprintf("%q, which stays, stands on it", f.Record.Address)
			}
		}
	}
	for i := range t.Found {
		f := &t.Found[i]
		if reason, ok := why[f.Record.Address]; ok && f.Fate == Doomed {
			f.Fate, f.Reason = Kept, reason
		}
	}
}

// change makes what is carried out of what was found.
func (t *Teardown) change(f Found) {
	b := base{key: f.Record.Key(), name: f.Record.Name, typ: f.Record.Type, provider: f.Record.Provider, reason: f.Reason}
	var c Change
	switch {
	case f.Fate == Doomed:
		c = &Delete{base: b, Prior: f.Record}
	case f.Fate == Kept:
		c = &NoOp{base: b, Prior: f.Record, Kept: true}
	case f.Fate == Missing && f.Recorded:
		c = &Forget{base: b, Prior: f.Record}
	default:
		return
	}
	t.Changes = append(t.Changes, c)
	t.byKey[c.Key()] = c
}

// connect orders the deletes: by what stands on what as far as it is known,
// then by types. What would have two wait for each other is left to retries.
func (t *Teardown) connect(c Catalog) {
	users := map[resource.Address][]*Delete{}
	for _, change := range t.Changes {
		for _, s := range stepsOf(change) {
			t.steps.Add(s)
		}
		if d, ok := change.(*Delete); ok {
			for _, dep := range d.Prior.DependsOn {
				users[dep] = append(users[dep], d)
			}
		}
	}
	for _, change := range t.Changes {
		if d, ok := change.(*Delete); ok {
			t.deleteAfter(d, users[d.Address()])
		}
	}
	t.orderByType(c)
}

// arrange sorts what was found for showing.
func (t *Teardown) arrange() error {
	sorted, err := t.steps.Sort()
	if err != nil {
		return err
	}
	turn := map[resource.Key]int{}
	for i, s := range sorted {
		turn[s.Key] = i
	}
	rank := func(f Found) int { return slices.Index(fates, f.Fate) }
	slices.SortStableFunc(t.Found, func(a, b Found) int {
		if c := rank(a) - rank(b); c != 0 || a.Fate != Doomed {
			return c
		}
		return turn[a.Record.Key()] - turn[b.Record.Key()]
	})
	t.order()
	return nil
}

// seal computes the hash of the set: what goes and what is kept. How it was
// found, and the record, do not enter.
func (t *Teardown) seal() {
	var lines []string
	for _, f := range t.Found {
		if f.Fate == Doomed || f.Fate == Kept {
			lines = append(lines, fmt.Sprintf("%s %q %q %q %q", f.Fate, f.Record.Provider.Kind, f.Record.Type, f.Record.Name, f.Record.ID))
		}
	}
	slices.Sort(lines)
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "teardown/1 %q %q\n", t.Environment.Project(), t.Environment.Name())
	for _, l := range lines {
		_, _ = fmt.Fprintln(h, l)
	}
	t.Hash = hex.EncodeToString(h.Sum(nil))
}

// Count is how many have a fate.
func (t *Teardown) Count(f Fate) int {
	n := 0
	for _, x := range t.Found {
		if x.Fate == f {
			n++
		}
	}
	return n
}

// Discovered is how many of the environment's own resources are there, and
// how many modules of the configuration were looked for.
func (t *Teardown) Discovered() (resources, modules int) {
	seen := map[resource.Address]bool{}
	for _, f := range t.Found {
		if !f.Orphan {
			seen[f.Record.Address] = true
		}
	}
	return t.Count(Doomed) + t.Count(Kept) + t.Count(Left), len(seen)
}

// Remains tells whether anything of the environment's will still be there, or
// may be, when all that goes is gone.
func (t *Teardown) Remains() bool {
	return slices.ContainsFunc(t.Found, func(f Found) bool {
		return f.Fate == Kept || f.Fate == Left || f.Fate == Unread || f.Fate == Foreign && f.Recorded
	})
}

type teardownDoc struct {
	Hash        string       `json:"hash"`
	Project     string       `json:"project"`
	Environment string       `json:"environment"`
	Counts      map[Fate]int `json:"counts"`
	Resources   []foundDoc   `json:"resources"`
	State       StateFate    `json:"state"`
}

type foundDoc struct {
	Address  resource.Address `json:"address"`
	Deposed  string           `json:"deposed,omitempty"`
	Type     string           `json:"type"`
	Name     string           `json:"name"`
	Provider string           `json:"provider"`
	ID       string           `json:"id,omitempty"`
	Fate     Fate             `json:"fate"`
	Reason   string           `json:"reason,omitempty"`
	Claims   []Claim          `json:"claims"`
	Orphan   bool             `json:"orphan,omitempty"`
	Untagged bool             `json:"untagged,omitempty"`
}

// MarshalJSON shows all that was found.
func (t *Teardown) MarshalJSON() ([]byte, error) {
	doc := teardownDoc{
		Hash: t.Hash, Project: t.Environment.Project(), Environment: t.Environment.Name(), Counts: map[Fate]int{},
		Resources: []foundDoc{}, State: t.State,
	}
	for _, f := range fates {
		doc.Counts[f] = t.Count(f)
	}
	for _, f := range t.Found {
		r := f.Record
		doc.Resources = append(doc.Resources, foundDoc{
			r.Address, r.Deposed, r.Type, r.Name, string(r.Provider.Address), r.ID, f.Fate, f.Reason, f.Claims, f.Orphan, f.Untagged,
		})
	}
	return json.Marshal(doc)
}
