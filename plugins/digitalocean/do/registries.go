package do

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// registryHost is where images are pushed to.
const registryHost = "registry.digitalocean.com"

// tiers are the plans of the registry, from the smallest. The account has one
// for all its registries.
var tiers = []string{"starter", "basic", "professional"}

// registryConfig is the configuration of infra.registry.
type registryConfig struct {
	infra.Registry
	Specific *struct{} `json:"provider_specific,omitempty" doc:"a registry has none"`
}

// containerRegistry is a registry with the account's plan.
type containerRegistry struct {
	*godo.Registry
	tier string
}

func containerRegistries() kind {
	return &typed[registryConfig, containerRegistry]{
		name: infra.TypeRegistry, what: "registry", description: "A container registry.", claim: "registry",
		idFormat: "^[a-z0-9-]{1,63}$", nameFormat: "^[a-z0-9-]{1,63}$", nameHint: "it has small letters, digits and hyphens", nameMax: 63,
		out: []sdk.OutputSchema{
			output("id", "string", "its name"), output("name", "string", "name"), output("host", "string", "the host of the registry"),
			output("repository", "string", "what names of images begin with: host/name"), output("region", "string", "where images are kept"),
			changing("tier", "string", "the plan of the account's registries"),
		},
		ignored: map[string]string{"size": "a registry grows with its images, within its tier"},
		limits:  limits{2 * time.Minute, 2 * time.Minute, 5 * time.Minute},
		check:   checkRegistry,
		notes: func(c registryConfig) []sdk.Diagnostic {
			if c.Tier == "" {
				return nil
			}
			return []sdk.Diagnostic{note("/tier", "the tier is the account's: it goes for all its registries")}
		},
		api: registryDriver{},
	}
}

func checkRegistry(_ string, c registryConfig) []sdk.Diagnostic {
	if c.Tier == "" || slices.Contains(tiers, c.Tier) {
		return nil
	}
	return []sdk.Diagnostic{wrong("/tier", strings.Join(tiers, ", "), "there is no tier %q", c.Tier)}
}

type registryDriver struct{}

func (registryDriver) get(ctx context.Context, a *account, id string) (*containerRegistry, error) {
	r, _, err := a.api.Registries.Get(ctx, id)
	if err != nil {
		return nil, said(err, "read the registry "+id)
	}
	tier, err := a.registryTier(ctx)
	return &containerRegistry{r, tier}, err
}

func (a *account) registryTier(ctx context.Context) (string, error) {
	s, _, err := a.api.Registries.GetSubscription(ctx)
	if err != nil || s == nil || s.Tier == nil {
		return "", said(err, "read the plan of the registries")
	}
	return s.Tier.Slug, nil
}

func (registryDriver) all(ctx context.Context, a *account, name string) ([]*containerRegistry, error) {
	list, _, err := a.api.Registries.List(ctx)
	if err != nil {
		return nil, said(err, "list registries")
	}
	var out []*containerRegistry
	for _, r := range list {
		if name == "" || r.Name == name {
			out = append(out, &containerRegistry{Registry: r})
		}
	}
	return out, nil
}

func (registryDriver) create(ctx context.Context, w *work[registryConfig]) (*containerRegistry, error) {
	r, err := w.newRegistry(ctx, w.name, cmp.Or(w.config.Region, registryRegion(w.region)), w.config.Tier)
	return &containerRegistry{Registry: r}, err
}

// registryRegion is the region of the account where registries are kept there;
// elsewhere the platform chooses.
func registryRegion(region string) string {
	if slices.Contains([]string{"nyc3", "sfo3", "sfo2", "ams3", "sgp1", "fra1", "blr1", "syd1"}, region) {
		return region
	}
	return ""
}

func (a *account) newRegistry(ctx context.Context, name, region, tier string) (*godo.Registry, error) {
	r, _, err := a.api.Registries.Create(ctx, &godo.RegistryCreateRequest{Name: name, Region: region, SubscriptionTierSlug: tier})
	err = said(err, "create the registry "+name)
	switch sdk.CodeOf(err) {
	case sdk.CodeAlreadyExists:
		return nil, sdk.Errorf(sdk.CodeAlreadyExists, "%v", err).WithHint("names of registries are one space for all customers: choose another")
	case sdk.CodeConflict:
		return nil, sdk.Errorf(sdk.CodeConflict, "%v", err).WithHint("a larger tier has room for more registries: set tier, or use the registry that is there")
	}
	return r, err
}

func (d registryDriver) converge(ctx context.Context, w *work[registryConfig], have *containerRegistry) (*containerRegistry, error) {
	if err := stays(w, "/region", w.config.Region, have.Region); err != nil {
		return have, err
	}
	if w.config.Tier == "" || w.config.Tier == have.tier {
		return have, nil
	}
	w.progress("change the tier of the account's registries to " + w.config.Tier)
	if err := w.setTier(ctx, w.config.Tier); err != nil {
		return have, err
	}
	return d.get(ctx, w.account, have.Name)
}

func (a *account) setTier(ctx context.Context, tier string) error {
	_, _, err := a.api.Registries.UpdateSubscription(ctx, &godo.RegistrySubscriptionUpdateRequest{TierSlug: tier})
	return said(err, "change the plan of the registries to "+tier)
}

func (registryDriver) delete(ctx context.Context, a *account, have *containerRegistry) error {
	_, err := a.api.Registries.Delete(ctx, have.Name)
	return said(err, "delete the registry "+have.Name)
}

func (registryDriver) facts(r *containerRegistry) facts {
	return facts{id: r.Name, name: r.Name, status: sdk.Healthy}
}

func (registryDriver) describe(_ context.Context, _ *account, _ sdk.Ownership, r *containerRegistry, _ *registryConfig) (registryConfig, error) {
	return registryConfig{Registry: infra.Registry{Common: infra.Common{Region: r.Region}, Tier: r.tier}}, nil
}

func (registryDriver) outputs(ctx context.Context, a *account, r *containerRegistry) (sdk.Outputs, error) {
	tier := r.tier
	if tier == "" {
		var err error
		if tier, err = a.registryTier(ctx); err != nil {
			return nil, err
		}
	}
	return sdk.Outputs{
		"id": sdk.Out(r.Name), "name": sdk.Out(r.Name), "host": sdk.Out(registryHost), "repository": sdk.Out(registryHost + "/" + r.Name),
		"region": sdk.Out(r.Region), "tier": sdk.Out(tier),
	}, nil
}

// registryOptions are the options of a registry of type digitalocean.
type registryOptions struct {
	Tier   string `json:"tier,omitempty" enum:"starter,basic,professional"`
	Region string `json:"region,omitempty"`
}

// EnsureRegistry implements sdk.RegistryProvider.
func (p *provider) EnsureRegistry(ctx context.Context, req *sdk.EnsureRegistryRequest, report sdk.Reporter) (*sdk.EnsureRegistryResponse, error) {
	a, err := p.registries(req != nil, hostOf(req))
	if err != nil {
		return nil, err
	}
	o, err := sdk.Decode[registryOptions](req.Options)
	if err != nil {
		return nil, err
	}
	name, err := a.registryName(ctx, req.Namespace)
	if err != nil {
		return nil, err
	}
	res := &sdk.EnsureRegistryResponse{Repository: registryHost + "/" + name}
	_, err = registryDriver{}.get(ctx, a, name)
	if sdk.IsNotFound(err) {
		report.Progress("create the registry "+name, -1)
		if err := a.makeRegistry(ctx, name, o); err != nil {
			return nil, err
		}
		res.Created = true
		return res, nil
	}
	if err != nil {
		return nil, err
	}
	return res, a.raiseTier(ctx, o.Tier, report)
}

// makeRegistry makes one and does not mind one that a lost answer made.
func (a *account) makeRegistry(ctx context.Context, name string, o registryOptions) error {
	return a.insist(ctx, func() error {
		_, err := a.newRegistry(ctx, name, cmp.Or(o.Region, registryRegion(a.region)), o.Tier)
		if err == nil {
			return nil
		}
		if _, there := (registryDriver{}).get(ctx, a, name); there == nil {
			return nil
		}
		return err
	})
}

// raiseTier asks for a larger plan where the one that is asked for is larger.
// What has grown is not made smaller on the way: a resource of type
// infra.registry does that.
func (a *account) raiseTier(ctx context.Context, tier string, report sdk.Reporter) error {
	if tier == "" {
		return nil
	}
	have, err := a.registryTier(ctx)
	if err != nil || slices.Index(tiers, tier) <= slices.Index(tiers, have) {
		return err
	}
	report.Progress(fmt.Sprintf("change the tier of the account's registries from %s to %s", have, tier), -1)
	return a.setTier(ctx, tier)
}

func hostOf(req *sdk.EnsureRegistryRequest) string {
	if req == nil {
		return ""
	}
	return req.Host
}

// registries is the account, for a host that is DigitalOcean's.
func (p *provider) registries(there bool, host string) (*account, error) {
	if !there {
		return nil, errNoRequest()
	}
	a := p.account.Load()
	if a == nil {
		return nil, sdk.Errorf(sdk.CodeInvalid, "provider digitalocean is not configured")
	}
	if host != "" && host != registryHost {
		return nil, sdk.Errorf(sdk.CodeInvalid, "%s is no registry of DigitalOcean", host).WithHint("its host is " + registryHost)
	}
	return a, nil
}

// registryName is the registry of a namespace: its first part. Without one it
// is the only one of the account.
func (a *account) registryName(ctx context.Context, namespace string) (string, error) {
	if name, _, _ := strings.Cut(namespace, "/"); name != "" {
		return name, nil
	}
	list, err := registryDriver{}.all(ctx, a, "")
	switch {
	case err != nil:
		return "", err
	case len(list) == 1:
		return list[0].Name, nil
	}
	return "", sdk.Errorf(sdk.CodeInvalid, "the account has %d registries, and none is named", len(list)).WithHint("set namespace of the registry in wfctl.yaml")
}

// defaultLifetime is how long a credential is good for when nobody says: the
// platform's own default is for good.
const defaultLifetime = time.Hour

// RegistryCredential implements sdk.RegistryProvider.
func (p *provider) RegistryCredential(ctx context.Context, req *sdk.RegistryCredentialRequest) (*sdk.RegistryCredentialResponse, error) {
	host := ""
	if req != nil {
		host = req.Host
	}
	a, err := p.registries(req != nil, host)
	if err != nil {
		return nil, err
	}
	name, err := a.registryName(ctx, req.Namespace)
	if err != nil {
		return nil, err
	}
	lifetime := cmp.Or(req.Lifetime, defaultLifetime)
	if lifetime < time.Second {
		return nil, sdk.Errorf(sdk.CodeInvalid, "a credential cannot be good for %s", lifetime)
	}
	seconds := int(lifetime / time.Second)
	got, _, err := a.api.Registries.DockerCredentials(ctx, name, &godo.RegistryDockerCredentialsRequest{ReadWrite: req.Write, ExpirySeconds: &seconds})
	if err != nil {
		return nil, said(err, "get a credential of the registry "+name)
	}
	user, password, err := dockerLogin(got.DockerConfigJSON)
	if err != nil {
		return nil, err
	}
	return &sdk.RegistryCredentialResponse{Username: user, Password: sdk.NewSensitive(password), Expires: a.clock.Now().Add(lifetime)}, nil
}

// dockerLogin reads the one login out of a docker configuration. An error does
// not repeat what it could not read: it may hold the password.
func dockerLogin(config []byte) (user, password string, err error) {
	var c struct {
		Auths map[string]struct{ Auth string }
	}
	unreadable := sdk.Errorf(sdk.CodeInternal, "the docker configuration of DigitalOcean holds no login")
	if json.Unmarshal(config, &c) != nil || len(c.Auths) != 1 {
		return "", "", unreadable
	}
	for _, auth := range c.Auths {
		text, err := base64.StdEncoding.DecodeString(auth.Auth)
		user, password, ok := strings.Cut(string(text), ":")
		if err == nil && ok {
			return user, password, nil
		}
	}
	return "", "", unreadable
}
