package do

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// dnsConfig is the configuration of infra.dns.
type dnsConfig struct {
	infra.DNS
	Specific *struct{} `json:"provider_specific,omitempty" doc:"a zone has none"`
}

// zone is a domain with its records.
type zone struct {
	godo.Domain
	records []godo.DomainRecord
}

const (
	zoneFormat = `^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*$`
	defaultTTL = 1800
)

func dns() kind {
	return &typed[dnsConfig, zone]{
		name: infra.TypeDNS, what: "zone", description: "A DNS zone with the records that the configuration names; others in it are left alone.",
		claim: "domain", key: func(_ string, c dnsConfig) string { return strings.ToLower(c.Zone) }, idFormat: zoneFormat,
		out: []sdk.OutputSchema{
			output("id", "string", "the zone"), output("zone", "string", "the zone"), output("urn", "string", "uniform resource name"),
			output("name_servers", "array", "the name servers to enter at the registrar"), changing("records", "array", "all records of the zone"),
		},
		ignored: map[string]string{"region": "a zone is everywhere", "size": "a zone has no size"},
		// The resource's name is wfctl's own: the platform knows the zone.
		renames: true,
		limits:  limits{5 * time.Minute, 5 * time.Minute, 5 * time.Minute},
		check:   checkDNS,
		promise: func(_ string, c dnsConfig) sdk.Outputs {
			if c.Zone == "" {
				return nil
			}
			z := strings.ToLower(c.Zone)
			return sdk.Outputs{"id": sdk.Out(z), "zone": sdk.Out(z), "urn": sdk.Out("do:domain:" + z), "name_servers": sdk.Out(nameServers())}
		},
		canonical: func(c *dnsConfig) {
			c.Zone = strings.ToLower(c.Zone)
			for i := range c.Records {
				c.Records[i] = canonicalRecord(c.Zone, c.Records[i])
			}
			slices.SortFunc(c.Records, compareRecords)
		},
		api: dnsDriver{},
	}
}

func nameServers() []string {
	return []string{"ns1.digitalocean.com", "ns2.digitalocean.com", "ns3.digitalocean.com"}
}

func compareRecords(a, b infra.Record) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Type, b.Type), strings.Compare(a.Value, b.Value), a.Priority-b.Priority, a.TTL-b.TTL)
}

// canonicalRecord is a record as the zone has it: relative to it, its target a
// full name, its time to live filled in.
func canonicalRecord(zone string, r infra.Record) infra.Record {
	r.Name = strings.ToLower(strings.TrimSuffix(r.Name, "."))
	if r.Name == zone || r.Name == "" {
		r.Name = "@"
	}
	r.Name = strings.TrimSuffix(r.Name, "."+zone)
	r.TTL = cmp.Or(r.TTL, defaultTTL)
	if slices.Contains([]string{"CNAME", "MX", "NS", "SRV"}, r.Type) && !strings.HasSuffix(r.Value, "@") {
		r.Value = strings.ToLower(strings.TrimSuffix(r.Value, ".")) + "."
	}
	if r.Type == "CAA" {
		r.Value = strings.Join(strings.Fields(r.Value), " ")
	}
	return r
}

func checkDNS(_ string, c dnsConfig) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	if c.Zone != "" && !zoneForm.MatchString(strings.ToLower(c.Zone)) {
		list = append(list, wrong("/zone", "such as example.com", "%q is no domain", c.Zone))
	}
	seen := map[string]bool{}
	for i, r := range c.Records {
		at := sdk.Path("/records").Index(i)
		if _, err := bodyOf(canonicalRecord(c.Zone, r)); err != nil {
			list = append(list, wrong(at.Child("value"), "", "%v", err))
		}
		if r.TTL != 0 && r.TTL < 30 {
			list = append(list, wrong(at.Child("ttl"), "", "the time to live is at least 30 seconds"))
		}
		if r.Type == "NS" && canonicalRecord(c.Zone, r).Name == "@" {
			list = append(list, wrong(at, "take it away", "the name servers of the zone itself are DigitalOcean's"))
		}
		canonical := canonicalRecord(c.Zone, r)
		canonical.TTL = 0
		if key := string(raw(canonical)); r.Value != "" && seen[key] {
			list = append(list, wrong(at, "take one of the two away", "the record is there twice"))
		} else {
			seen[key] = true
		}
	}
	return list
}

type dnsDriver struct{}

func (dnsDriver) get(ctx context.Context, a *account, id string) (*zone, error) {
	d, _, err := a.api.Domains.Get(ctx, id)
	if err != nil {
		return nil, said(err, "read the zone "+id)
	}
	records, err := all(ctx, func(ctx context.Context, o *godo.ListOptions) ([]godo.DomainRecord, *godo.Response, error) {
		return a.api.Domains.Records(ctx, id, o)
	})
	return &zone{*d, records}, said(err, "list the records of the zone "+id)
}

// all leaves the records away: what looks for a zone does not need them.
func (r dnsDriver) all(ctx context.Context, a *account, key string) ([]*zone, error) {
	list, err := all(ctx, a.api.Domains.List)
	if err != nil {
		return nil, said(err, "list zones")
	}
	var out []*zone
	for _, d := range list {
		switch d.Name {
		case key:
			z, err := r.get(ctx, a, key)
			if err != nil {
				return nil, err
			}
			return []*zone{z}, nil
		default:
			if key == "" {
				out = append(out, &zone{Domain: d})
			}
		}
	}
	return out, nil
}

func (dnsDriver) create(ctx context.Context, w *work[dnsConfig]) (*zone, error) {
	name := strings.ToLower(w.config.Zone)
	d, _, err := w.api.Domains.Create(ctx, &godo.DomainCreateRequest{Name: name})
	if err != nil {
		return nil, said(err, "create the zone "+name)
	}
	return &zone{Domain: *d}, nil
}

// recordBody is a record as the API takes it. godo leaves fields out that the
// API requires.
type recordBody struct {
	Type     string  `json:"type"`
	Name     string  `json:"name"`
	Data     string  `json:"data"`
	Priority *int    `json:"priority"`
	Port     *int    `json:"port"`
	Weight   *int    `json:"weight"`
	Flags    *int    `json:"flags"`
	Tag      *string `json:"tag"`
	TTL      int     `json:"ttl"`
}

// bodyOf takes the value of a record apart: of SRV "weight port target", of
// CAA "flags tag name".
func bodyOf(r infra.Record) (recordBody, error) {
	b := recordBody{Type: r.Type, Name: r.Name, Data: r.Value, TTL: r.TTL}
	parts := strings.Fields(r.Value)
	switch r.Type {
	case "MX":
		b.Priority = &r.Priority
	case "SRV":
		if len(parts) != 3 {
			return b, fmt.Errorf("the value of an SRV record is \"weight port target\", not %q", r.Value)
		}
		weight, errW := strconv.Atoi(parts[0])
		port, errP := strconv.Atoi(parts[1])
		if errW != nil || errP != nil {
			return b, fmt.Errorf("weight and port of the SRV record %q are no numbers", r.Value)
		}
		b.Priority, b.Weight, b.Port, b.Data = &r.Priority, &weight, &port, parts[2]
	case "CAA":
		if len(parts) != 3 {
			return b, fmt.Errorf("the value of a CAA record is \"flags tag name\", such as 0 issue letsencrypt.org, not %q", r.Value)
		}
		flags, err := strconv.Atoi(parts[0])
		if err != nil {
			return b, fmt.Errorf("the flags of the CAA record %q are no number", r.Value)
		}
		b.Flags, b.Tag, b.Data = &flags, &parts[1], strings.TrimSuffix(strings.Trim(parts[2], `"`), ".")+"."
	}
	return b, nil
}

// recordOf is the reverse.
func recordOf(zone string, r godo.DomainRecord) infra.Record {
	out := infra.Record{Type: r.Type, Name: r.Name, Value: r.Data, TTL: r.TTL}
	switch r.Type {
	case "MX":
		out.Priority = r.Priority
	case "SRV":
		out.Priority, out.Value = r.Priority, fmt.Sprintf("%d %d %s", r.Weight, r.Port, r.Data)
	case "CAA":
		out.Value = fmt.Sprintf("%d %s %s", r.Flags, r.Tag, strings.TrimSuffix(r.Data, "."))
	}
	return canonicalRecord(zone, out)
}

// zonesOwn tells whether a record is one that makes the zone a zone.
func zonesOwn(r godo.DomainRecord) bool {
	return r.Type == "SOA" || r.Type == "NS" && r.Name == "@"
}

// converge makes the records that are missing, and removes those that the
// configuration named before and does not any more. Where both are of the same
// name and type, the one becomes the other, so that the name never answers
// nothing.
func (r dnsDriver) converge(ctx context.Context, w *work[dnsConfig], have *zone) (*zone, error) {
	z, err := r.get(ctx, w.account, have.Name)
	if err != nil {
		return have, err
	}
	missing, surplus := r.plan(w, z)
	for _, want := range missing {
		body, err := bodyOf(want)
		if err != nil {
			return z, invalid("/records", "%v", err)
		}
		doing := fmt.Sprintf("write the record %s %s of %s", want.Type, want.Name, z.Name)
		at := slices.IndexFunc(surplus, func(s godo.DomainRecord) bool { return s.Type == want.Type && s.Name == want.Name })
		if at >= 0 {
			old := surplus[at]
			surplus = slices.Delete(surplus, at, at+1)
			err = w.send(ctx, http.MethodPut, fmt.Sprintf("v2/domains/%s/records/%d", z.Name, old.ID), body, nil, doing)
		} else {
			err = w.send(ctx, http.MethodPost, "v2/domains/"+z.Name+"/records", body, nil, doing)
		}
		if err != nil {
			return z, err
		}
	}
	for _, old := range surplus {
		if _, err := w.api.Domains.DeleteRecord(ctx, z.Name, old.ID); err != nil {
			if err = said(err, "delete a record of "+z.Name); !sdk.IsNotFound(err) {
				return z, err
			}
		}
	}
	return r.get(ctx, w.account, z.Name)
}

func like(a infra.Record) func(infra.Record) bool {
	return func(b infra.Record) bool { return a.Type == b.Type && a.Name == b.Name && a.Value == b.Value }
}

// covers tells whether a record belongs to what a wanted one is about: all
// records of its name and type, but for the types of which several parties
// write their own beside each other.
func covers(have infra.Record) func(infra.Record) bool {
	return func(want infra.Record) bool {
		shared := want.Type == "TXT" || want.Type == "CAA"
		return have.Type == want.Type && have.Name == want.Name && (!shared || have.Value == want.Value)
	}
}

// plan says which records are missing, and which are there and should not be:
// those that stand beside wanted ones, and those that the configuration named
// before.
func (dnsDriver) plan(w *work[dnsConfig], z *zone) (missing []infra.Record, surplus []godo.DomainRecord) {
	var want, before []infra.Record
	for _, rec := range w.config.Records {
		want = append(want, canonicalRecord(z.Name, rec))
	}
	if w.prior != nil {
		for _, rec := range w.prior.Records {
			before = append(before, canonicalRecord(z.Name, rec))
		}
	}
	there := map[infra.Record]bool{}
	for _, have := range z.records {
		rec := recordOf(z.Name, have)
		switch {
		case zonesOwn(have):
		case slices.Contains(want, rec) && !there[rec]:
			there[rec] = true
		case slices.ContainsFunc(want, covers(rec)), slices.ContainsFunc(before, like(rec)):
			surplus = append(surplus, have)
		}
	}
	for _, rec := range want {
		if !there[rec] {
			missing = append(missing, rec)
		}
	}
	return missing, surplus
}

func (dnsDriver) delete(ctx context.Context, a *account, have *zone) error {
	_, err := a.api.Domains.Delete(ctx, have.Name)
	return said(err, "delete the zone "+have.Name)
}

func (dnsDriver) facts(z *zone) facts {
	return facts{id: z.Name, name: z.Name, key: z.Name, status: sdk.Healthy}
}

// describe tells of the records that the configuration is about. For an import it tells of all.
func (dnsDriver) describe(_ context.Context, _ *account, _ sdk.Ownership, z *zone, want *dnsConfig) (dnsConfig, error) {
	c := dnsConfig{DNS: infra.DNS{Zone: z.Name}}
	var asked []infra.Record
	if want != nil {
		for _, rec := range want.Records {
			asked = append(asked, canonicalRecord(z.Name, rec))
		}
	}
	for _, have := range z.records {
		rec := recordOf(z.Name, have)
		if !zonesOwn(have) && (want == nil || slices.ContainsFunc(asked, covers(rec))) {
			c.Records = append(c.Records, rec)
		}
	}
	return c, nil
}

func (dnsDriver) outputs(_ context.Context, _ *account, z *zone) (sdk.Outputs, error) {
	records := []infra.Record{}
	for _, r := range z.records {
		if !zonesOwn(r) {
			records = append(records, recordOf(z.Name, r))
		}
	}
	slices.SortFunc(records, compareRecords)
	return sdk.Outputs{
		"id": sdk.Out(z.Name), "zone": sdk.Out(z.Name), "urn": sdk.Out("do:domain:" + z.Name), "name_servers": sdk.Out(nameServers()), "records": sdk.Out(records),
	}, nil
}
