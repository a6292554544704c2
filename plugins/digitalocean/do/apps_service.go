package do

import (
	"context"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/appspec"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// services is infra.container_service.
type services struct{}

func (services) project(c appspec.Config) string {
	if c.Specific == nil {
		return ""
	}
	return c.Specific.ProjectID
}

func (services) spec(ctx context.Context, w *work[appspec.Config]) (*godo.AppSpec, error) {
	vpc, err := w.directory(w.owner).vpc(ctx, w.config.VPCRef)
	if err != nil {
		return nil, err
	}
	c := w.config
	if c.Region == "" {
		c.Region = w.region
	}
	return appspec.To(w.name, c, vpc, w.source.IsSensitive)
}

func (services) describe(ctx context.Context, a *account, spec *godo.AppSpec, want *appspec.Config) (appspec.Config, error) {
	if want == nil {
		return imported(ctx, a, spec)
	}
	vpc, err := a.vpcMeant(ctx, "app", want.VPCRef, spec)
	if err != nil {
		return appspec.Config{}, err
	}
	found, _, err := appspec.Describe(spec, *want, vpc)
	return found, err
}

// imported describes an app that something else made.
func imported(ctx context.Context, a *account, spec *godo.AppSpec) (appspec.Config, error) {
	registry := ""
	if list, _, err := a.api.Registries.List(ctx); err == nil && len(list) > 0 {
		registry = list[0].Name
	}
	c, others := appspec.From(spec, appspec.Hints{Registry: registry, Import: true})
	if len(others) > 0 {
		return c, sdk.Errorf(sdk.CodeUnsupported, "the app %s has components that infra.container_service cannot describe: %v", spec.Name, others).
			WithHint("it is for one service with workers, jobs and static sites; split the app")
	}
	return c, nil
}

func (services) own(spec *godo.AppSpec) sdk.Outputs {
	out := sdk.Outputs{"image": sdk.RawOutput(raw(nil), false), "digest": sdk.RawOutput(raw(nil), false)}
	if len(spec.Services) == 0 || spec.Services[0].Image == nil {
		return out
	}
	image := spec.Services[0].Image
	text := image.Repository
	if image.Registry != "" {
		text = image.Registry + "/" + text
	}
	switch {
	case image.Digest != "":
		out["digest"] = sdk.Out(image.Digest)
		text += "@" + image.Digest
	case image.Tag != "":
		text += ":" + image.Tag
	}
	out["image"] = sdk.Out(text)
	return out
}

// vpcMeant is the network of an app where that is the one that a reference
// means, and nothing else.
func (a *account) vpcMeant(ctx context.Context, kind, ref string, spec *godo.AppSpec) (string, error) {
	if ref == "" || spec.Vpc == nil {
		return "", nil
	}
	if ref == spec.Vpc.ID {
		return ref, nil
	}
	owner, err := a.claimant(ctx, kind, spec.Name)
	if err != nil {
		return "", err
	}
	word, err := a.vpcWord(ctx, owner, ref, spec.Vpc.ID)
	if err != nil || word != ref {
		return "", err
	}
	return spec.Vpc.ID, nil
}

// apiGateways are apps whose one component carries requests on.
func apiGateways() kind {
	return appKind[appspec.Gateway]{&typed[appspec.Gateway, app]{
		name: infra.TypeAPIGateway, what: "app", description: "Routes of App Platform to URLs and other apps.", claim: "gateway",
		idFormat: uuidFormat, nameFormat: appFormat, nameHint: appHint, nameMax: 32,
		out: appOutputs(), dependsOn: []string{infra.TypeContainerService, infra.TypeVPC, infra.TypeDNS},
		sizing: appspec.Sizes(), sizesNoted: true, renames: true, limits: appLimits,
		check: func(_ string, g appspec.Gateway) []sdk.Diagnostic { return appspec.ValidateGateway(g) },
		notes: appspec.NotesOfGateway,
		promise: func(name string, _ appspec.Gateway) sdk.Outputs {
			return sdk.Outputs{"name": sdk.Out(name)}
		},
		api: appDriver[appspec.Gateway]{gateways{}},
	}}
}

// gateways is infra.api_gateway.
type gateways struct{}

func (gateways) project(g appspec.Gateway) string {
	if g.Specific == nil {
		return ""
	}
	return g.Specific.ProjectID
}

func (gateways) own(*godo.AppSpec) sdk.Outputs { return nil }

func vpcOfGateway(g appspec.Gateway) string {
	if g.Specific == nil {
		return ""
	}
	return g.Specific.VPCRef
}

func (gateways) spec(ctx context.Context, w *work[appspec.Gateway]) (*godo.AppSpec, error) {
	vpc, err := w.directory(w.owner).vpc(ctx, vpcOfGateway(w.config))
	if err != nil {
		return nil, err
	}
	targets, err := w.addresses(ctx, w.owner, w.config.Names())
	if err != nil {
		return nil, err
	}
	for _, name := range w.config.Names() {
		if targets[name] == "" {
			return nil, sdk.Errorf(sdk.CodeNotFound, "there is no app %q that answers, to route to", name).
				WithHint("a target is a URL, such as ${{ modules.NAME.outputs.url }}, or the name of a module or an app")
		}
	}
	g := w.config
	if g.Region == "" {
		g.Region = w.region
	}
	return appspec.ToGateway(w.name, g, vpc, targets)
}

func (gateways) describe(ctx context.Context, a *account, spec *godo.AppSpec, want *appspec.Gateway) (appspec.Gateway, error) {
	if want == nil {
		g, ok := appspec.FromGateway(spec, nil)
		if !ok {
			return g, sdk.Errorf(sdk.CodeUnsupported, "the app %s is no gateway of wfctl", spec.Name).WithHint("import it as infra.container_service")
		}
		return g.Bare(), nil
	}
	vpc, err := a.vpcMeant(ctx, "gateway", vpcOfGateway(*want), spec)
	if err != nil {
		return appspec.Gateway{}, err
	}
	owner, err := a.claimant(ctx, "gateway", spec.Name)
	if err != nil {
		return appspec.Gateway{}, err
	}
	targets, err := a.addresses(ctx, owner, want.Names())
	if err != nil {
		return appspec.Gateway{}, err
	}
	for _, name := range want.Names() {
		if targets[name] == "" {
			targets[name] = "http://gone.invalid" // shows as a difference
		}
	}
	found, _, err := appspec.DescribeGateway(spec, *want, vpc, targets)
	return found, err
}

// addresses are where apps answer.
func (a *account) addresses(ctx context.Context, owner sdk.Ownership, names []string) (appspec.Targets, error) {
	targets := appspec.Targets{}
	if len(names) == 0 {
		return targets, nil
	}
	list, err := all(ctx, a.api.Apps.List)
	if err != nil {
		return nil, said(err, "list apps")
	}
	dir := a.directory(owner)
	for _, name := range names {
		meant, err := dir.named(ctx, refApp, name)
		if err != nil {
			return nil, err
		}
		for _, got := range list {
			if len(meant) == 1 && got.ID == meant[0].id {
				targets[name] = got.DefaultIngress
			}
		}
	}
	return targets, nil
}

// claimant is whose an app is, by its claim.
func (a *account) claimant(ctx context.Context, kind, name string) (owner sdk.Ownership, err error) {
	claims, err := a.claims(ctx, kind)
	for _, c := range claims {
		if c.key == name {
			owner = c.owner
		}
	}
	return owner, err
}
