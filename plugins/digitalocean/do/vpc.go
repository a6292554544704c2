package do

import (
	"cmp"
	"context"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// vpcConfig is the configuration of infra.vpc.
type vpcConfig struct {
	infra.VPC
	Specific *struct{} `json:"provider_specific,omitempty" doc:"a VPC has none"`
}

func vpcs() kind {
	return &typed[vpcConfig, godo.VPC]{
		name: infra.TypeVPC, what: "VPC", description: "A private network of a region.",
		idFormat: uuidFormat, nameFormat: wordFormat, nameHint: wordHint, nameMax: 255,
		out: []sdk.OutputSchema{
			output("id", "string", "identifier"), output("urn", "string", "uniform resource name"), changing("name", "string", "name"),
			output("region", "string", "where it is"), output("ip_range", "string", "its addresses, as CIDR"),
		},
		ignored: map[string]string{"size": "a VPC costs nothing and has no size"},
		renames: true,
		limits:  limits{2 * time.Minute, 2 * time.Minute, 10 * time.Minute},
		check:   checkVPC,
		api:     vpcDriver{},
	}
}

const descriptionMax = 255

func checkVPC(_ string, c vpcConfig) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	if p, err := netip.ParsePrefix(c.IPRange); c.IPRange != "" && (err != nil || p.Masked() != p || p.Bits() < 16 || p.Bits() > 28 || !p.Addr().IsPrivate()) {
		list = append(list, wrong("/ip_range", "such as 10.10.0.0/16", "%q is no private network of /16 to /28", c.IPRange))
	}
	switch {
	case len(c.Description) > descriptionMax:
		list = append(list, wrong("/description", "", "the description has more than %d characters", descriptionMax))
	case ownedText.MatchString(c.Description):
		list = append(list, wrong("/description", "", "the end of the description is wfctl's own"))
	}
	return list
}

// ownedText is the end of a description that says whose a VPC is.
var ownedText = regexp.MustCompile(`\s*\[(wfctl-project:[^\]\s]* wfctl-environment:[^\]\s]* wfctl-module:[^\]\s]*)\]$`)

// withOwner adds the owner to a description.
func withOwner(text string, o sdk.Ownership) (string, error) {
	full := strings.TrimSpace(text + " [" + strings.Join(ownerTags(o), " ") + "]")
	if len(full) > descriptionMax {
		return "", invalid("/description", "the description is too long: with the owner it has %d of %d characters", len(full), descriptionMax)
	}
	return full, nil
}

// ownerOf splits a description into its text and its owner.
func ownerOf(description string) (string, *sdk.Ownership) {
	m := ownedText.FindStringSubmatchIndex(description)
	if m == nil {
		return description, nil
	}
	return description[:m[0]], ownerIn(strings.Fields(description[m[2]:m[3]]))
}

type vpcDriver struct{}

func (vpcDriver) get(ctx context.Context, a *account, id string) (*godo.VPC, error) {
	v, _, err := a.api.VPCs.Get(ctx, id)
	return v, said(err, "read the VPC "+id)
}

func (vpcDriver) all(ctx context.Context, a *account, name string) ([]*godo.VPC, error) {
	list, err := all(ctx, a.api.VPCs.List)
	return only(list, func(v *godo.VPC) bool { return name == "" || v.Name == name }), said(err, "list VPCs")
}

func (vpcDriver) create(ctx context.Context, w *work[vpcConfig]) (*godo.VPC, error) {
	region, err := w.place(w.config.Region)
	if err != nil {
		return nil, err
	}
	description, err := withOwner(w.config.Description, w.owner)
	if err != nil {
		return nil, err
	}
	v, _, err := w.api.VPCs.Create(ctx, &godo.VPCCreateRequest{Name: w.name, RegionSlug: region, Description: description, IPRange: w.config.IPRange})
	return v, said(err, "create the VPC "+w.name)
}

func (vpcDriver) converge(ctx context.Context, w *work[vpcConfig], have *godo.VPC) (*godo.VPC, error) {
	if err := stays(w, "/region", w.config.Region, have.RegionSlug); err != nil {
		return have, err
	}
	if err := stays(w, "/ip_range", w.config.IPRange, have.IPRange); err != nil {
		return have, err
	}
	description, err := withOwner(w.config.Description, w.owner)
	if err != nil || have.Name == w.name && have.Description == description {
		return have, err
	}
	v, _, err := w.api.VPCs.Update(ctx, have.ID, &godo.VPCUpdateRequest{Name: w.name, Description: description})
	return v, said(err, "change the VPC "+w.name)
}

// delete names what is in the network where the platform refuses.
func (vpcDriver) delete(ctx context.Context, a *account, have *godo.VPC) error {
	_, err := a.api.VPCs.Delete(ctx, have.ID)
	err = said(err, "delete the VPC "+have.Name)
	if sdk.CodeOf(err) != sdk.CodeConflict {
		return err
	}
	members, listErr := all(ctx, func(ctx context.Context, o *godo.ListOptions) ([]*godo.VPCMember, *godo.Response, error) {
		return a.api.VPCs.ListMembers(ctx, have.ID, nil, o)
	})
	if listErr != nil {
		return err
	}
	e := sdk.Errorf(sdk.CodeConflict, "the VPC %s still has members", have.Name)
	for _, m := range members {
		e.Blockers = append(e.Blockers, strings.TrimSpace(m.URN+" "+m.Name))
	}
	return e.WithHint("what is in it must go first; an address that was in use is free about a minute later")
}

func (vpcDriver) own(ctx context.Context, a *account, have *godo.VPC, owner sdk.Ownership) error {
	text, _ := ownerOf(have.Description)
	description, err := withOwner(text, owner)
	if err != nil {
		return err
	}
	_, _, err = a.api.VPCs.Update(ctx, have.ID, &godo.VPCUpdateRequest{Name: have.Name, Description: description})
	return said(err, "note the owner of the VPC "+have.Name)
}

func (vpcDriver) facts(v *godo.VPC) facts {
	_, owner := ownerOf(v.Description)
	return facts{id: v.ID, name: v.Name, owner: owner, status: sdk.Healthy, protected: v.Default}
}

func (vpcDriver) describe(_ context.Context, _ *account, _ sdk.Ownership, v *godo.VPC, _ *vpcConfig) (vpcConfig, error) {
	text, _ := ownerOf(v.Description)
	return vpcConfig{VPC: infra.VPC{Common: infra.Common{Region: v.RegionSlug}, IPRange: v.IPRange, Description: text}}, nil
}

func (vpcDriver) outputs(_ context.Context, _ *account, v *godo.VPC) (sdk.Outputs, error) {
	return sdk.Outputs{
		"id": sdk.Out(v.ID), "urn": sdk.Out(v.URN), "name": sdk.Out(v.Name), "region": sdk.Out(v.RegionSlug), "ip_range": sdk.Out(v.IPRange),
	}, nil
}

// place is the region of a resource: its own, else the provider's.
func (a *account) place(region string) (string, error) {
	if region = cmp.Or(region, a.region); region == "" {
		return "", invalid("/region", "region is missing").WithHint("set it here, or once for all as config.region of the iac.provider module")
	}
	return region, nil
}

// stays is an error where what was found cannot become what is asked for: it
// is for what was adopted, a plan replaces what it knows.
func stays[C any](w *work[C], path sdk.Path, want, have string) error {
	if want == "" || want == have {
		return nil
	}
	e := sdk.Errorf(sdk.CodeConflict, "%s is %s and cannot become %s", path.Dotted(), have, want)
	e.Path = path
	return e.WithHint("delete what is there, or give this one another name")
}

func only[T any](list []*T, keep func(*T) bool) []*T {
	var out []*T
	for _, e := range list {
		if keep(e) {
			out = append(out, e)
		}
	}
	return out
}
