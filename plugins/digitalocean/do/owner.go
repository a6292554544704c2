package do

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
)

// Whose a resource is stands on it as three tags, wfctl-project:NAME and so on,
// where its type has tags. A VPC has a description, which ends with the same
// words. For what has neither there is a tag of the account that no resource
// carries, a claim: see claim.
//
// A tag may have letters, digits, colons, dashes and underscores, and does not
// tell capitals from small letters; any other byte of a name is written as a
// colon and two hexadecimal digits.

// tagMax is the longest tag of the platform.
const tagMax = 255

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, ":%02x", c)
		}
	}
	return b.String()
}

// unescape is the reverse; false for what escape does not write.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != ':' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), true
}

// ownerTags are the tags of an owner.
func ownerTags(o sdk.Ownership) []string {
	return []string{
		sdk.TagProject + ":" + escape(o.Project), sdk.TagEnvironment + ":" + escape(o.Environment), sdk.TagModule + ":" + escape(o.Module),
	}
}

// ownerIn reads the owner out of tags; nil where they name none.
func ownerIn(tags []string) *sdk.Ownership {
	var o sdk.Ownership
	places := map[string]*string{sdk.TagProject: &o.Project, sdk.TagEnvironment: &o.Environment, sdk.TagModule: &o.Module}
	found := false
	for _, tag := range tags {
		name, value, _ := strings.Cut(tag, ":")
		place := places[strings.ToLower(name)]
		if place == nil {
			continue
		}
		if text, ok := unescape(strings.ToLower(value)); ok {
			*place, found = text, true
		}
	}
	if !found {
		return nil
	}
	return &o
}

// freeTags are the tags that are not about the owner.
func freeTags(tags []string) []string {
	free := []string{}
	for _, tag := range tags {
		name, _, _ := strings.Cut(strings.ToLower(tag), ":")
		if name != sdk.TagProject && name != sdk.TagEnvironment && name != sdk.TagModule {
			free = append(free, tag)
		}
	}
	return free
}

// mergedTags are the tags that a resource should have: those of its owner,
// those that the configuration names, and what others put on it; but for those
// that the configuration named before.
func mergedTags(have []string, owner sdk.Ownership, want, before []string) []string {
	out := append(ownerTags(owner), want...)
	for _, tag := range freeTags(have) {
		if !holdsTag(out, tag) && !holdsTag(before, tag) {
			out = append(out, tag)
		}
	}
	return out
}

// tagWords are the tags that a configuration would name: of those that it
// names, the ones that are there; for an import (nil) all.
func tagWords(have []string, want *[]string) []string {
	var out []string
	for _, tag := range freeTags(have) {
		if want == nil || holdsTag(*want, tag) {
			out = append(out, tag)
		}
	}
	return out
}

// claim says whose the thing is that the platform knows by a key: the name of
// a firewall, a load balancer, a certificate, an app, a bucket; the zone of a
// domain. It is a tag of the account:
//
//	wfctl-own::KIND::KEY::PROJECT::ENVIRONMENT::MODULE::NAME
//
// It is staked before the thing is made, so that a lost connection leaves
// nothing that nobody owns, and given up before the thing is deleted, so that
// it never covers what somebody else makes later under the same key.
type claim struct {
	kind, key string
	owner     sdk.Ownership
	// name is the resource's name, where that is not the key.
	name string
}

const claimPrefix = "wfctl-own::"

func (c claim) tag() string {
	parts := []string{c.kind, c.key, c.owner.Project, c.owner.Environment, c.owner.Module, c.name}
	for i := range parts {
		parts[i] = escape(parts[i])
	}
	return claimPrefix + strings.Join(parts, "::")
}

func parseClaim(tag string) (claim, bool) {
	rest, ok := strings.CutPrefix(strings.ToLower(tag), claimPrefix)
	parts := strings.Split(rest, "::")
	if !ok || len(parts) != 6 {
		return claim{}, false
	}
	for i := range parts {
		if parts[i], ok = unescape(parts[i]); !ok {
			return claim{}, false
		}
	}
	return claim{parts[0], parts[1], sdk.Ownership{Project: parts[2], Environment: parts[3], Module: parts[4]}, parts[5]}, true
}

// claims lists those of a kind.
func (a *account) claims(ctx context.Context, kind string) ([]claim, error) {
	tags, err := all(ctx, a.api.Tags.List)
	if err != nil {
		return nil, said(err, "list the account's tags")
	}
	var found []claim
	for _, tag := range tags {
		if c, ok := parseClaim(tag.Name); ok && c.kind == kind {
			found = append(found, c)
		}
	}
	return found, nil
}

// stake makes a claim; one that is there already is fine.
func (a *account) stake(ctx context.Context, c claim) error {
	tag := c.tag()
	if len(tag) > tagMax {
		return sdk.Errorf(sdk.CodeInvalid, "the names of project, environment, module and resource are too long together: the tag %s has more than %d characters", tag, tagMax).
			WithHint("shorten the resource's name")
	}
	return a.noteTag(ctx, tag)
}

// giveUp takes a claim back; one that is not there is fine.
func (a *account) giveUp(ctx context.Context, c claim) error { return a.dropTag(ctx, c.tag()) }

// noteTag makes a tag of the account; one that is there already is fine.
func (a *account) noteTag(ctx context.Context, tag string) error {
	return a.insist(ctx, func() error {
		_, _, err := a.api.Tags.Create(ctx, &godo.TagCreateRequest{Name: tag})
		return exists(said(err, "make the tag "+tag))
	})
}

func (a *account) dropTag(ctx context.Context, tag string) error {
	_, err := a.api.Tags.Delete(ctx, tag)
	if err = said(err, "delete the tag "+tag); sdk.IsNotFound(err) {
		return nil
	}
	return err
}

// insist repeats what may safely be done twice, when it is not known whether
// it was done, or the platform is busy.
func (a *account) insist(ctx context.Context, do func() error) error {
	pause := backoff{a.poll / 2, 8 * a.poll}
	for attempt := 1; ; attempt++ {
		err := do()
		if !ambiguous(err) && !busy(err) || attempt == attempts {
			return err
		}
		if err := a.clock.Sleep(ctx, pause.wait()); err != nil {
			return err
		}
	}
}

// all walks the pages of a list.
func all[T any](ctx context.Context, list func(context.Context, *godo.ListOptions) ([]T, *godo.Response, error)) ([]T, error) {
	var out []T
	for page := 1; ; page++ {
		part, res, err := list(ctx, &godo.ListOptions{Page: page, PerPage: 200})
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
		if res == nil || res.Links == nil || res.Links.IsLastPage() {
			return out, nil
		}
	}
}
