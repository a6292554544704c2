package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/resource"
	"github.com/gocodealone/wfctl/sdk"
)

// reach is what is known of whether a platform answers at all.
type reach struct {
	answers  bool
	failures int
	last     error
}

// enough failures without any answer, and a platform is asked no more: each
// question waits for its time-outs and attempts.
const enough = 3

// ask reads, unless the platform is known not to answer.
func (f *finder) ask(ctx context.Context, p sdk.Provider, id resource.Provider, req *sdk.ReadRequest) (res *sdk.ReadResponse, err error) {
	err = f.reached(id, func() (err error) {
		res, err = p.Read(ctx, req)
		return err
	})
	return res, err
}

// reached makes a call that tells whether a platform answers.
func (f *finder) reached(id resource.Provider, call func() error) error {
	f.mu.Lock()
	r, ok := f.reach[id]
	if !ok {
		r = &reach{}
		f.reach[id] = r
	}
	down := !r.answers && r.failures >= enough
	last := r.last
	f.mu.Unlock()
	if down {
		return last
	}
	err := call()
	f.mu.Lock()
	defer f.mu.Unlock()
	if sdk.CodeOf(err) != sdk.CodeUnavailable {
		r.answers = true
		return err
	}
	r.failures, r.last = r.failures+1, err
	if !r.answers && r.failures == enough {
		f.project.events.Emit(event.Notice{Level: "warning", Message: fmt.Sprintf("%q (%s) does not answer; it is asked no further", id.Address, id.Kind)})
	}
	return err
}

// trouble is why types of a provider could not be listed; one of its kind is
// told once.
type trouble struct {
	provider resource.Provider
	// types are those that could not be listed; none where the provider itself
	// cannot be used. of is how many it has.
	types []string
	of    int
	cause error
}

// unlisted notes that a type could not be listed, or with "" that nothing of
// the provider could.
func (f *finder) unlisted(id resource.Provider, typ string, of int, cause error) {
	i := slices.IndexFunc(f.troubles, func(t *trouble) bool { return t.provider == id && alike(t.cause, cause) })
	if i < 0 {
		i = len(f.troubles)
		f.troubles = append(f.troubles, &trouble{provider: id, of: of, cause: cause})
	}
	if typ != "" {
		f.troubles[i].types = append(f.troubles[i].types, typ)
	}
}

// alike tells whether two failures of one provider have one cause: a token
// that is wrong and a platform that is down say so in many words.
func alike(a, b error) bool {
	if c := sdk.CodeOf(a); c == sdk.CodeUnauthorised || c == sdk.CodeUnavailable || c == sdk.CodeRateLimited {
		return c == sdk.CodeOf(b)
	}
	return a.Error() == b.Error()
}

// told are the troubles that the resources which could not be asked for do
// not tell of already, in a fixed order.
func (f *finder) told() (errs []error) {
	slices.SortFunc(f.troubles, func(a, b *trouble) int {
		return cmp.Or(cmp.Compare(a.provider.Address, b.provider.Address), cmp.Compare(a.cause.Error(), b.cause.Error()))
	})
	for _, t := range f.troubles {
		whole := len(t.types) == t.of
		if whole && slices.ContainsFunc(f.found, func(x plan.Found) bool {
			return x.Fate == plan.Unread && x.Record.Provider == t.provider && alike(t.cause, x.Err)
		}) {
			continue
		}
		errs = append(errs, t.fault())
	}
	return errs
}

func (t *trouble) fault() error {
	slices.Sort(t.types)
	switch len(t.types) {
	case 0:
		return fault.Wrap(fault.Provider, t.cause, "ask %q for what carries this environment's tags", t.provider.Address)
	case 1:
		return fault.Wrap(fault.Provider, t.cause, "list the resources of type %s at %q", t.types[0], t.provider.Address)
	}
	return fault.Wrap(fault.Provider, t.cause, "list the resources of types %s at %q", strings.Join(t.types, ", "), t.provider.Address)
}

// markAgain marks those that could not be asked for because of what an earlier
// one of their provider tells.
func markAgain(found []plan.Found) {
	for i := range found {
		if found[i].Fate != plan.Unread {
			continue
		}
		found[i].Again = slices.ContainsFunc(found[:i], func(x plan.Found) bool {
			return x.Fate == plan.Unread && x.Record.Provider == found[i].Record.Provider && alike(x.Err, found[i].Err)
		})
	}
}
