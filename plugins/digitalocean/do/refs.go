package do

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
)

// The kinds of thing that a configuration may refer to. They are also what
// may stand before a name, where one name fits two: droplet:web.
const (
	refDroplet     = "droplet"
	refBalancer    = "load_balancer"
	refCluster     = "k8s"
	refApp         = "app"
	refVPC         = "vpc"
	refVolume      = "volume"
	refCertificate = "certificate"
	refTag         = "tag"
)

// entry is something that can be referred to.
type entry struct {
	kind, id, name string
	owner          *sdk.Ownership
}

// directory finds what references mean: an identifier (what `${{
// modules.web.outputs.id }}` gives), the module of this environment, or the
// name. It lists each kind at most once, so one goes with each operation.
type directory struct {
	a     *account
	owner sdk.Ownership

	mu     sync.Mutex
	loaded map[string][]entry
}

func (a *account) directory(owner sdk.Ownership) *directory {
	return &directory{a: a, owner: owner, loaded: map[string][]entry{}}
}

var (
	uuidForm   = regexp.MustCompile(uuidFormat)
	numberForm = regexp.MustCompile(`^[0-9]+$`)
	zoneForm   = regexp.MustCompile(zoneFormat)
)

// isID tells whether a reference is an identifier of a kind already.
func isID(kind, text string) bool {
	switch kind {
	case refDroplet:
		return numberForm.MatchString(text)
	case refTag:
		return true
	}
	return uuidForm.MatchString(text)
}

// find resolves a reference to one of the kinds. Nothing of the name is an
// error of CodeNotFound, two things of CodeInvalid.
func (d *directory) find(ctx context.Context, path sdk.Path, text string, kinds ...string) (entry, error) {
	if prefix, name, ok := strings.Cut(text, ":"); ok && slices.Contains(kinds, prefix) {
		text, kinds = name, []string{prefix}
	}
	var found []entry
	for _, kind := range kinds {
		if isID(kind, text) && (kind != refTag || len(kinds) == 1) {
			if len(kinds) == 1 || kind == refDroplet {
				return entry{kind: kind, id: text}, nil
			}
		}
		if kind == refTag {
			continue
		}
		matches, err := d.named(ctx, kind, text)
		if err != nil {
			return entry{}, err
		}
		found = append(found, matches...)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		e := sdk.Errorf(sdk.CodeNotFound, "there is no %s %q", strings.Join(kinds, " or "), text)
		e.Path = path
		return entry{}, e.WithHint("name it by its module, its name or its identifier")
	}
	e := invalid(path, "%q is the name of %d things", text, len(found))
	return entry{}, e.WithHint(fmt.Sprintf("write %s:%s, or its identifier", found[0].kind, text))
}

// named lists what a text means: the module's own, else by name or identifier.
func (d *directory) named(ctx context.Context, kind, text string) ([]entry, error) {
	list, err := d.list(ctx, kind)
	if err != nil {
		return nil, err
	}
	var byName []entry
	for _, e := range list {
		o := e.owner
		if o != nil && o.Project == d.owner.Project && o.Environment == d.owner.Environment && o.Module == text {
			return []entry{e}, nil
		}
		if e.name == text || e.id == text {
			byName = append(byName, e)
		}
	}
	return byName, nil
}

// word is how a configuration calls a thing: in the words that it used before,
// where one of these means it, else by its identifier.
func (d *directory) word(ctx context.Context, words []string, kind, id string) (string, error) {
	for _, w := range words {
		if w == id || w == kind+":"+id {
			return w, nil
		}
	}
	name := id
	list, err := d.list(ctx, kind)
	if err != nil {
		return "", err
	}
	for _, e := range list {
		if e.id != id {
			continue
		}
		for _, w := range words {
			bare := strings.TrimPrefix(w, kind+":")
			if bare == e.name || e.owner != nil && e.owner.Project == d.owner.Project && e.owner.Environment == d.owner.Environment && bare == e.owner.Module {
				return w, nil
			}
		}
	}
	if kind == refTag {
		name = kind + ":" + id
	}
	return name, nil
}

func (d *directory) list(ctx context.Context, kind string) ([]entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if list, ok := d.loaded[kind]; ok {
		return list, nil
	}
	list, err := d.a.entries(ctx, kind)
	if err != nil {
		return nil, err
	}
	claims, err := d.a.claimsFor(ctx, kind)
	if err != nil {
		return nil, err
	}
	for i := range list {
		for _, c := range claims {
			if c.key == list[i].name {
				list[i].owner = &c.owner
			}
		}
	}
	d.loaded[kind] = list
	return list, nil
}

// claimsFor are the claims of a kind of reference that has them.
func (a *account) claimsFor(ctx context.Context, kind string) ([]claim, error) {
	if !slices.Contains([]string{refBalancer, refCertificate, refApp}, kind) {
		return nil, nil
	}
	return a.claims(ctx, kind)
}

// entries lists all of a kind.
func (a *account) entries(ctx context.Context, kind string) ([]entry, error) {
	switch kind {
	case refDroplet:
		list, err := all(ctx, a.api.Droplets.List)
		return entriesOf(list, func(d godo.Droplet) entry { return entry{kind, strconv.Itoa(d.ID), d.Name, ownerIn(d.Tags)} }), said(err, "list Droplets")
	case refBalancer:
		list, err := all(ctx, a.api.LoadBalancers.List)
		return entriesOf(list, func(l godo.LoadBalancer) entry { return entry{kind, l.ID, l.Name, nil} }), said(err, "list load balancers")
	case refCluster:
		list, err := all(ctx, a.api.Kubernetes.List)
		return entriesOf(list, func(k *godo.KubernetesCluster) entry { return entry{kind, k.ID, k.Name, ownerIn(k.Tags)} }), said(err, "list Kubernetes clusters")
	case refApp:
		list, err := all(ctx, a.api.Apps.List)
		return entriesOf(list, func(p *godo.App) entry { return entry{kind, p.ID, p.GetSpec().GetName(), nil} }), said(err, "list apps")
	case refVPC:
		list, err := all(ctx, a.api.VPCs.List)
		return entriesOf(list, func(v *godo.VPC) entry {
			_, owner := ownerOf(v.Description)
			return entry{kind, v.ID, v.Name, owner}
		}), said(err, "list VPCs")
	case refVolume:
		list, err := all(ctx, a.volumePage)
		return entriesOf(list, func(v godo.Volume) entry { return entry{kind, v.ID, v.Name, ownerIn(v.Tags)} }), said(err, "list volumes")
	case refCertificate:
		list, err := all(ctx, a.api.Certificates.List)
		return entriesOf(list, func(c godo.Certificate) entry { return entry{kind, c.ID, c.Name, nil} }), said(err, "list certificates")
	}
	return nil, nil
}

func entriesOf[T any](list []T, of func(T) entry) []entry {
	var out []entry
	for _, e := range list {
		out = append(out, of(e))
	}
	return out
}

func (a *account) volumePage(ctx context.Context, o *godo.ListOptions) ([]godo.Volume, *godo.Response, error) {
	return a.api.Storage.ListVolumes(ctx, &godo.ListVolumeParams{ListOptions: o})
}

// vpc resolves a vpc_ref; "" is the region's own.
func (d *directory) vpc(ctx context.Context, ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	e, err := d.find(ctx, "/vpc_ref", ref, refVPC)
	return e.id, err
}

// vpcWord is how a configuration calls a VPC; nothing where it does not say.
func (a *account) vpcWord(ctx context.Context, owner sdk.Ownership, want, id string) (string, error) {
	return a.directory(owner).word(ctx, words(want), refVPC, id)
}

func words(list ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

func ownership(o *sdk.Ownership) sdk.Ownership {
	if o == nil {
		return sdk.Ownership{}
	}
	return *o
}

// inNetwork is an error where what is there is in another VPC than is asked
// for.
func inNetwork[C any](ctx context.Context, w *work[C], ref, have string) error {
	want, err := w.directory(w.owner).vpc(ctx, ref)
	if err != nil {
		return err
	}
	return stays(w, "/vpc_ref", want, have)
}

// send makes a request whose body godo would not make as the API wants it.
func (a *account) send(ctx context.Context, method, path string, body, into any, doing string) error {
	req, err := a.api.NewRequest(ctx, method, path, body)
	if err != nil {
		return said(err, doing)
	}
	_, err = a.api.Do(ctx, req, into)
	return said(err, doing)
}

// retag gives a resource exactly the tags that it should have, of those it has.
func (a *account) retag(ctx context.Context, kind, id string, have, want []string) error {
	what := []godo.Resource{{ID: id, Type: godo.ResourceType(kind)}}
	for _, tag := range want {
		if holdsTag(have, tag) {
			continue
		}
		if err := a.noteTag(ctx, tag); err != nil {
			return err
		}
		err := a.insist(ctx, func() error {
			_, err := a.api.Tags.TagResources(ctx, tag, &godo.TagResourcesRequest{Resources: what})
			return said(err, "tag "+kind+" "+id)
		})
		if err != nil {
			return err
		}
	}
	for _, tag := range have {
		if holdsTag(want, tag) {
			continue
		}
		if _, err := a.api.Tags.UntagResources(ctx, tag, &godo.UntagResourcesRequest{Resources: what}); err != nil {
			if err = said(err, "untag "+kind+" "+id); !sdk.IsNotFound(err) {
				return err
			}
		}
	}
	return nil
}

// holdsTag compares as the platform does.
func holdsTag(list []string, tag string) bool {
	return slices.ContainsFunc(list, func(t string) bool { return strings.EqualFold(t, tag) })
}

// sameTags tells whether two lists are the same set.
func sameTags(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(t string) bool { return !holdsTag(b, t) })
}

// sized is the platform's word for the size of a configuration: what
// provider_specific says, else the portable size.
func sized(sizing map[string]string, specific, portable, otherwise string) string {
	return cmp.Or(specific, sizing[portable], sizing[otherwise])
}

// sizeWords are the portable and the specific size that a configuration would
// say for a slug. want are those that it said before.
func sizeWords(sizing map[string]string, slug, wantPortable, wantSpecific, otherwise string) (portable, specific string) {
	if slug == sized(sizing, wantSpecific, wantPortable, otherwise) {
		return wantPortable, wantSpecific
	}
	for _, size := range []string{"xs", "s", "m", "l", "xl"} {
		if sizing[size] == slug {
			return size, ""
		}
	}
	return "", slug
}
