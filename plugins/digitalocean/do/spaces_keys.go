package do

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// keyConfig is the configuration of infra.spaces_key.
type keyConfig struct {
	infra.SpacesKey
	Specific *keyFields `json:"provider_specific,omitempty" doc:"what only Spaces knows"`
}

type keyFields struct {
	Rotation string `json:"rotation,omitempty" wfctl:"immutable" doc:"any text; another one replaces the key" example:"2026-01"`
}

// anyBucket is the bucket of a grant to all of them.
const anyBucket = "*"

// keyKind is infra.spaces_key. Its secret is shown once, so that a key whose
// answer was lost is worth nothing: it is removed, and another one is made.
// Nothing piles up, whatever connection is lost and however often.
type keyKind struct {
	*typed[keyConfig, godo.SpacesKey]
}

func spacesKeyResources() kind {
	return keyKind{&typed[keyConfig, godo.SpacesKey]{
		name: infra.TypeSpacesKey, what: "Spaces key", description: "A key to Spaces.", claim: "spaces_key",
		idFormat: "^[A-Z0-9]{16,64}$", nameFormat: wordFormat, nameHint: wordHint, nameMax: 255,
		out: []sdk.OutputSchema{
			output("id", "string", "the access key"), changing("name", "string", "name"), output("access_key", "string", "the access key"),
			{Name: "secret_key", Type: "string", Description: "its secret, which Spaces shows once", Sensitive: true, Stable: true, Once: true},
		},
		dependsOn: []string{infra.TypeStorage},
		ignored:   map[string]string{"region": "a key is for all regions", "size": "a key has no size"},
		renames:   true,
		limits:    limits{time.Minute, time.Minute, time.Minute},
		check:     checkKey, canonical: canonicalKey,
		api: keyDriver{},
	}}
}

func checkKey(name string, c keyConfig) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	if strings.HasPrefix(name, temporaryName) {
		list = append(list, wrong("", "choose another name", "names that begin with %s are the provider's own", temporaryName))
	}
	if len(c.Grants) == 0 {
		list = append(list, wrong("/grants", `such as [{bucket: assets, permission: readwrite}]; all rights on all buckets are {bucket: "*", permission: fullaccess}`, "a key without grants opens nothing"))
	}
	for i, g := range c.Grants {
		if g.Permission != "" && g.Bucket != "" && (g.Permission == "fullaccess") != (g.Bucket == anyBucket) {
			list = append(list, wrong(sdk.Path("/grants").Index(i), `fullaccess goes with bucket "*", read and readwrite with one bucket`, "%s on %s cannot be granted", g.Permission, g.Bucket))
		}
	}
	return list
}

// canonicalKey: a bucket may be given by name or by identifier, in any order.
func canonicalKey(c *keyConfig) {
	for i := range c.Grants {
		c.Grants[i].Bucket = bucketName(c.Grants[i].Bucket)
	}
	slices.SortFunc(c.Grants, func(a, b infra.Grant) int {
		return strings.Compare(a.Bucket+" "+a.Permission, b.Bucket+" "+b.Permission)
	})
	c.Specific = nil // it is about when the key was made
}

// bucketName is the name of a bucket that is given as REGION/NAME or NAME.
func bucketName(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

func grantsOf(list []infra.Grant) []*godo.Grant {
	out := []*godo.Grant{}
	for _, g := range list {
		bucket := bucketName(g.Bucket)
		if bucket == anyBucket {
			bucket = ""
		}
		out = append(out, &godo.Grant{Bucket: bucket, Permission: godo.SpacesKeyPermission(g.Permission)})
	}
	return out
}

func fromGrants(list []*godo.Grant) (out []infra.Grant) {
	for _, g := range list {
		bucket := g.Bucket
		if bucket == "" {
			bucket = anyBucket
		}
		out = append(out, infra.Grant{Bucket: bucket, Permission: string(g.Permission)})
	}
	return out
}

type keyDriver struct{}

// get asks with a request of our own: the description answers a list, the
// official client reads one key.
func (keyDriver) get(ctx context.Context, a *account, id string) (*godo.SpacesKey, error) {
	req, err := a.api.NewRequest(ctx, http.MethodGet, "/v2/spaces/keys/"+id, nil)
	if err != nil {
		return nil, said(err, "read the Spaces key "+id)
	}
	var answer struct {
		Key  *godo.SpacesKey
		Keys []*godo.SpacesKey
	}
	if _, err := a.api.Do(ctx, req, &answer); err != nil {
		return nil, said(err, "read the Spaces key "+id)
	}
	if answer.Key == nil && len(answer.Keys) > 0 {
		answer.Key = answer.Keys[0]
	}
	if answer.Key == nil {
		return nil, notFound("Spaces key", id)
	}
	return answer.Key, nil
}

func (keyDriver) all(ctx context.Context, a *account, name string) ([]*godo.SpacesKey, error) {
	list, err := a.spacesKeys(ctx, name)
	return only(list, func(k *godo.SpacesKey) bool { return !strings.HasPrefix(k.Name, temporaryName) }), err
}

func (keyDriver) create(ctx context.Context, w *work[keyConfig]) (*godo.SpacesKey, error) {
	return w.newSpacesKey(ctx, w.name, w.keep, grantsOf(w.config.Grants))
}

func (d keyDriver) converge(ctx context.Context, w *work[keyConfig], have *godo.SpacesKey) (*godo.SpacesKey, error) {
	want, is := w.config, keyConfig{SpacesKey: infra.SpacesKey{Grants: fromGrants(have.Grants)}}
	want.Grants = slices.Clone(want.Grants)
	canonicalKey(&want)
	canonicalKey(&is)
	if have.Name == w.name && string(raw(want.Grants)) == string(raw(is.Grants)) {
		return have, nil
	}
	_, _, err := w.api.SpacesKeys.Update(ctx, have.AccessKey, &godo.SpacesKeyUpdateRequest{Name: w.name, Grants: grantsOf(w.config.Grants)})
	if err != nil {
		return have, said(err, "change the Spaces key "+w.name)
	}
	return d.get(ctx, w.account, have.AccessKey)
}

func (keyDriver) delete(ctx context.Context, a *account, have *godo.SpacesKey) error {
	return a.dropSpacesKey(ctx, have.AccessKey)
}

func (keyDriver) facts(k *godo.SpacesKey) facts {
	return facts{id: k.AccessKey, name: k.Name, status: sdk.Healthy}
}

func (keyDriver) describe(_ context.Context, _ *account, _ sdk.Ownership, k *godo.SpacesKey, _ *keyConfig) (keyConfig, error) {
	return keyConfig{SpacesKey: infra.SpacesKey{Grants: fromGrants(k.Grants)}}, nil
}

func (keyDriver) outputs(_ context.Context, _ *account, k *godo.SpacesKey) (sdk.Outputs, error) {
	out := sdk.Outputs{"id": sdk.Out(k.AccessKey), "name": sdk.Out(k.Name), "access_key": sdk.Out(k.AccessKey)}
	if k.SecretKey != "" {
		out["secret_key"] = sdk.SecretOut(k.SecretKey)
	}
	return out, nil
}

// madeKeys are the keys that this process made, by the key of the call: the
// same call again gets the same answer, secret and all.
type madeKeys struct {
	mu    sync.Mutex
	byKey map[string]*sdk.CreateResponse
}

func (m *madeKeys) recall(key string) *sdk.CreateResponse {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byKey[key]
}

func (m *madeKeys) remember(key string, res *sdk.CreateResponse) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byKey == nil {
		m.byKey = map[string]*sdk.CreateResponse{}
	}
	if key != "" {
		m.byKey[key] = res
	}
}

func (m *madeKeys) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, res := range m.byKey {
		if res.ID == id {
			delete(m.byKey, key)
		}
	}
}

// create makes a key. One of the module under the name that is not to be kept
// is left over from a call whose answer was lost, and goes first, so that it
// is in nobody's way and the quota in nobody's either.
func (k keyKind) create(ctx context.Context, a *account, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	if done := a.access.made.recall(req.IdempotencyKey); done != nil {
		return done, nil
	}
	c, err := k.decode(req.Name, req.Config)
	if err != nil {
		return nil, err
	}
	w := &work[keyConfig]{account: a, name: req.Name, owner: req.Ownership, config: c, report: report, limit: k.limits.create, keep: req.Except}
	for {
		lost, err := k.ours(ctx, w, req.Except)
		if err != nil {
			return nil, err
		}
		if lost == nil {
			break
		}
		report.Progress(fmt.Sprintf("remove the Spaces key %s, whose secret was lost", lost.AccessKey), -1)
		if err := a.dropSpacesKey(ctx, lost.AccessKey); err != nil {
			return nil, err
		}
	}
	have, err := k.make(ctx, w, req.Except)
	if err != nil {
		return nil, err
	}
	// The identifier is not told before the result: who has it alone, without
	// the secret, has nothing.
	out, err := k.api.outputs(ctx, a, have)
	res := &sdk.CreateResponse{ID: have.AccessKey, Outputs: out}
	if err == nil {
		a.access.made.remember(req.IdempotencyKey, res)
	}
	return res, err
}

// read does not find for a create that was cut off what has lost its secret:
// that create is to be done again.
func (k keyKind) read(ctx context.Context, a *account, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	if req.ID == "" && req.IdempotencyKey != "" {
		done := a.access.made.recall(req.IdempotencyKey)
		if done == nil || slices.Contains(req.Except, done.ID) {
			return nil, notFound(k.what, req.Name)
		}
		again := *req
		again.ID = done.ID
		req = &again
	}
	return k.typed.read(ctx, a, req)
}

// remove leaves the claim where another key of the name takes the place of this
// one: names are not unique.
func (k keyKind) remove(ctx context.Context, a *account, req *sdk.DeleteRequest, report sdk.Reporter) error {
	same, err := a.spacesKeys(ctx, req.Name)
	if err != nil {
		return err
	}
	another := func(key *godo.SpacesKey) bool { return key.AccessKey != req.ID }
	if req.ID != "" && slices.ContainsFunc(same, another) {
		err = a.dropSpacesKey(ctx, req.ID)
	} else {
		err = k.typed.remove(ctx, a, req, report)
	}
	if err == nil {
		a.access.made.forget(req.ID)
	}
	return err
}
