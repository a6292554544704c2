package do

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// bucketConfig is the configuration of infra.storage.
type bucketConfig struct {
	infra.Storage
	Specific *bucketFields `json:"provider_specific,omitempty" doc:"what only Spaces knows"`
}

type bucketFields struct {
	ForceDestroy bool `json:"force_destroy,omitempty" doc:"delete the bucket with all that is in it"`
}

// bucket is a bucket of Spaces.
type bucket struct {
	name, region string
	acl          string
	versioning   bool
	cors         []s3CORSRule
}

// bucketKind is infra.storage: a bucket that is not empty is deleted only
// where the configuration says so.
type bucketKind struct{ *typed[bucketConfig, bucket] }

func buckets() kind {
	return bucketKind{&typed[bucketConfig, bucket]{
		name: infra.TypeStorage, what: "bucket", description: "A bucket of Spaces.", claim: "bucket",
		importsName: true,
		idFormat:    "^[a-z0-9-]+/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", nameFormat: "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", nameMax: 63,
		nameHint: "it has 3 to 63 small letters, digits, dots and hyphens",
		out: []sdk.OutputSchema{
			output("id", "string", "REGION/NAME"), output("name", "string", "name"), output("bucket", "string", "name"), output("region", "string", "where it is"),
			output("endpoint", "string", "the S3 endpoint of its region"), output("url", "string", "where its objects are"), output("urn", "string", "uniform resource name"),
		},
		ignored: map[string]string{"size": "a bucket grows with what is in it"},
		limits:  limits{2 * time.Minute, 2 * time.Minute, 30 * time.Minute},
		check:   checkBucket, canonical: canonicalBucket,
		api: bucketDriver{},
	}}
}

func checkBucket(name string, c bucketConfig) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	if strings.Contains(name, "..") {
		list = append(list, wrong("", "set `config: {name: …}`", "the name %q has two dots in a row", name))
	}
	for i, r := range c.CORS {
		at := sdk.Path("/cors").Index(i)
		for k, m := range r.Methods {
			if !slices.Contains([]string{"GET", "PUT", "POST", "DELETE", "HEAD"}, m) {
				list = append(list, wrong(at.Child("methods").Index(k), "GET, PUT, POST, DELETE or HEAD", "%q is no method of a CORS rule of Spaces", m))
			}
		}
		if d := time.Duration(r.MaxAge); d != d.Truncate(time.Second) || d < 0 {
			list = append(list, wrong(at.Child("max_age"), "", "max_age is %s; it is in whole seconds", d))
		}
	}
	return list
}

// canonicalBucket: what the platform does where nothing is said.
func canonicalBucket(c *bucketConfig) {
	if c.ACL == "private" {
		c.ACL = ""
	}
	for i := range c.CORS {
		if len(c.CORS[i].Methods) == 0 {
			c.CORS[i].Methods = []string{"GET", "HEAD"}
		}
	}
	c.Specific = nil // it is about how the bucket goes, not about what it is
}

func corsRules(list []infra.CORSRule) (rules []s3CORSRule) {
	c := bucketConfig{Storage: infra.Storage{CORS: slices.Clone(list)}}
	canonicalBucket(&c)
	for _, r := range c.CORS {
		rules = append(rules, s3CORSRule{r.Origins, r.Methods, r.Headers, int(time.Duration(r.MaxAge) / time.Second)})
	}
	return rules
}

func fromCORSRules(rules []s3CORSRule) (list []infra.CORSRule) {
	for _, r := range rules {
		list = append(list, infra.CORSRule{Origins: r.Origins, Methods: r.Methods, Headers: r.Headers, MaxAge: sdk.Duration(time.Duration(r.MaxAge) * time.Second)})
	}
	return list
}

type bucketDriver struct{}

// get reads a bucket; one without a region is in the account's.
func (bucketDriver) get(ctx context.Context, a *account, id string) (*bucket, error) {
	region, name, ok := strings.Cut(id, "/")
	if !ok {
		region, name = a.regionsOfSpaces()[0], id
	}
	s, err := a.store(ctx, region)
	if err != nil {
		return nil, err
	}
	if err := s.has(ctx, name); err != nil {
		return nil, err
	}
	b := &bucket{name: name, region: region}
	if b.acl, err = s.acl(ctx, name); err != nil {
		return nil, err
	}
	if b.versioning, err = s.versioning(ctx, name); err != nil {
		return nil, err
	}
	b.cors, err = s.cors(ctx, name)
	return b, err
}

// all looks into each region, at once: a list is of one region.
func (bucketDriver) all(ctx context.Context, a *account, name string) ([]*bucket, error) {
	regions := a.regionsOfSpaces()
	found, errs := make([][]*bucket, len(regions)), make([]error, len(regions))
	var wg sync.WaitGroup
	for i, region := range regions {
		wg.Go(func() {
			s, err := a.store(ctx, region)
			if err != nil {
				errs[i] = err
				return
			}
			names, err := s.buckets(ctx)
			errs[i] = err
			for _, n := range names {
				if name == "" || n == name {
					found[i] = append(found[i], &bucket{name: n, region: region})
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return slices.Concat(found...), nil
}

func (bucketDriver) create(ctx context.Context, w *work[bucketConfig]) (*bucket, error) {
	region, err := w.place(w.config.Region)
	if err != nil {
		return nil, err
	}
	s, err := w.store(ctx, region)
	if err != nil {
		return nil, err
	}
	return &bucket{name: w.name, region: region, acl: w.config.ACL}, s.make(ctx, w.name, w.config.ACL)
}

func (d bucketDriver) converge(ctx context.Context, w *work[bucketConfig], have *bucket) (*bucket, error) {
	if err := stays(w, "/region", w.config.Region, have.region); err != nil {
		return have, err
	}
	s, err := w.store(ctx, have.region)
	if err != nil {
		return have, err
	}
	acl := w.config.ACL
	if acl == "" {
		acl = "private"
	}
	if acl != have.acl {
		if err := s.setACL(ctx, have.name, acl); err != nil {
			return have, err
		}
	}
	if w.config.Versioning != have.versioning {
		status := map[bool]string{true: "Enabled", false: "Suspended"}[w.config.Versioning]
		if err := s.put(ctx, have.name, "versioning", s3Versioning{Status: status}); err != nil {
			return have, err
		}
	}
	if rules := corsRules(w.config.CORS); string(raw(rules)) != string(raw(have.cors)) {
		if err := s.setCORS(ctx, have.name, rules); err != nil {
			return have, err
		}
	}
	return d.get(ctx, w.account, have.region+"/"+have.name)
}

func (bucketDriver) delete(ctx context.Context, a *account, have *bucket) error {
	s, err := a.store(ctx, have.region)
	if err != nil {
		return err
	}
	return s.remove(ctx, have.name)
}

func (bucketDriver) facts(b *bucket) facts {
	return facts{id: b.region + "/" + b.name, name: b.name, status: sdk.Healthy}
}

func (bucketDriver) describe(_ context.Context, _ *account, _ sdk.Ownership, b *bucket, _ *bucketConfig) (bucketConfig, error) {
	c := bucketConfig{Storage: infra.Storage{Common: infra.Common{Region: b.region}, Versioning: b.versioning, CORS: fromCORSRules(b.cors)}}
	if b.acl != "private" {
		c.ACL = b.acl
	}
	return c, nil
}

func (bucketDriver) outputs(ctx context.Context, a *account, b *bucket) (sdk.Outputs, error) {
	s, err := a.store(ctx, b.region)
	if err != nil {
		return nil, err
	}
	return sdk.Outputs{
		"id": sdk.Out(b.region + "/" + b.name), "name": sdk.Out(b.name), "bucket": sdk.Out(b.name), "region": sdk.Out(b.region),
		"endpoint": sdk.Out(s.endpoint.String()), "url": sdk.Out(strings.TrimSuffix(s.address(b.name, "", nil), "/")), "urn": sdk.Out("do:space:" + b.name),
	}, nil
}

// remove refuses to delete what is in a bucket, unless the configuration says
// so.
func (k bucketKind) remove(ctx context.Context, a *account, req *sdk.DeleteRequest, report sdk.Reporter) error {
	have, err := k.lookup(ctx, a, req.ID, req.Name, req.Ownership, nil)
	if sdk.IsNotFound(err) {
		return k.typed.remove(ctx, a, req, report)
	}
	if err != nil {
		return err
	}
	s, err := a.store(ctx, have.region)
	if err != nil {
		return err
	}
	page, err := s.versions(ctx, have.name, s3Versions{}, 3)
	if err != nil {
		return err
	}
	if n := len(page.Versions) + len(page.Markers); n > 0 {
		if !forced(req) {
			return notEmpty(have.name, page)
		}
		if err := s.empty(ctx, have.name, report); err != nil {
			return err
		}
	}
	return k.typed.remove(ctx, a, req, report)
}

// forced tells whether the configuration, as it is or as it was recorded, lets
// a bucket go with all that is in it.
func forced(req *sdk.DeleteRequest) bool {
	list := []sdk.Config{req.Config}
	if req.Prior != nil {
		list = append(list, req.Prior.Config)
	}
	return slices.ContainsFunc(list, func(cfg sdk.Config) bool {
		c := decodeKnown[bucketConfig](cfg)
		return c != nil && c.Specific != nil && c.Specific.ForceDestroy
	})
}

func notEmpty(name string, page s3Versions) error {
	e := sdk.Errorf(sdk.CodeConflict, "the bucket %s is not empty", name)
	for _, v := range slices.Concat(page.Versions, page.Markers) {
		e.Blockers = append(e.Blockers, "object "+v.Key)
	}
	return e.WithHint("empty it, or set provider_specific.force_destroy and apply that first")
}

// empty removes all objects with all their versions.
func (s *store) empty(ctx context.Context, name string, report sdk.Reporter) error {
	gone := 0
	for {
		// From the start each time: what was listed before is gone.
		page, err := s.versions(ctx, name, s3Versions{}, 1000)
		if err != nil {
			return err
		}
		list := slices.Concat(page.Versions, page.Markers)
		if len(list) == 0 {
			return nil
		}
		if err := s.removeObjects(ctx, name, list); err != nil {
			return err
		}
		gone += len(list)
		report.Progress(fmt.Sprintf("deleted %d objects of the bucket %s", gone, name), -1)
	}
}

// removers is how many objects are deleted at once.
const removers = 16

func (s *store) removeObjects(ctx context.Context, name string, list []s3Version) error {
	jobs, errs := make(chan s3Version), make([]error, removers)
	var wg sync.WaitGroup
	for i := range removers {
		wg.Go(func() {
			for v := range jobs {
				if errs[i] == nil {
					errs[i] = s.removeObject(ctx, name, v)
				}
			}
		})
	}
	for _, v := range list {
		jobs <- v
	}
	close(jobs)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
