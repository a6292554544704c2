package do

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
)

// stateConfig is what matters here of the configuration of an iac.state module
// with the backend s3. Its other keys are the backend's own.
type stateConfig struct {
	Bucket   string `json:"bucket"`
	Region   string `json:"region"`
	Endpoint string `json:"endpoint"`
}

// BootstrapState implements sdk.StateBootstrapper: the bucket of an s3 backend,
// private and with versions, and a key that opens this bucket alone. What is
// there already stays as it is.
func (p *provider) BootstrapState(ctx context.Context, req *sdk.BootstrapStateRequest, report sdk.Reporter) (*sdk.BootstrapStateResponse, error) {
	if req == nil {
		return nil, errNoRequest()
	}
	a := p.account.Load()
	if a == nil {
		return nil, sdk.Errorf(sdk.CodeInvalid, "provider digitalocean is not configured")
	}
	if req.Backend != "s3" {
		return nil, sdk.Errorf(sdk.CodeUnsupported, "DigitalOcean makes the storage of the backend s3, not of %q", req.Backend).
			WithHint("keep the state in Spaces: backend: s3 with endpoint: https://REGION.digitaloceanspaces.com")
	}
	var c stateConfig
	if err := json.Unmarshal(req.Config.Bytes(), &c); err != nil {
		return nil, sdk.Wrap(sdk.CodeInvalid, err, "read the configuration of iac.state")
	}
	region, err := a.stateRegion(c)
	if err != nil {
		return nil, err
	}
	return a.bootstrap(ctx, c.Bucket, region, report)
}

// stateRegion is the region that an s3 backend's configuration names; what is
// not in Spaces is somebody else's.
func (a *account) stateRegion(c stateConfig) (string, error) {
	if c.Bucket == "" {
		return "", invalid("/bucket", "bucket is missing")
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" {
		return "", invalid("/endpoint", "endpoint is missing: without one the backend s3 is Amazon's").WithHint("such as https://nyc3.digitaloceanspaces.com")
	}
	region, ours := strings.CutSuffix(u.Hostname(), ".digitaloceanspaces.com")
	switch {
	case ours:
		return region, nil
	case a.spacesEndpoint != "" && strings.TrimSuffix(c.Endpoint, "/") == strings.TrimSuffix(a.spacesEndpoint, "/"):
		return cmp.Or(c.Region, a.regionsOfSpaces()[0]), nil
	}
	return "", invalid("/endpoint", "endpoint %s is not in Spaces", c.Endpoint).WithHint("such as https://nyc3.digitaloceanspaces.com")
}

// stateKeyName is the name of the key to the bucket of a state.
func stateKeyName(bucket string) string { return "wfctl-state-" + bucket }

func (a *account) bootstrap(ctx context.Context, bucket, region string, report sdk.Reporter) (*sdk.BootstrapStateResponse, error) {
	res := &sdk.BootstrapStateResponse{Outputs: sdk.Outputs{"bucket": sdk.Out(bucket), "region": sdk.Out(region)}}
	s, err := a.store(ctx, region)
	if err != nil {
		return nil, err
	}
	made, err := s.ensure(ctx, bucket)
	if err != nil {
		return nil, err
	}
	if made {
		res.Created = append(res.Created, "bucket "+bucket)
		report.Progress("made the bucket "+bucket, -1)
	}
	keys, err := a.spacesKeys(ctx, stateKeyName(bucket))
	if err != nil {
		return nil, err
	}
	if len(keys) > 0 {
		report.Warn(sdk.Diagnostic{
			Severity: sdk.SeverityNote, Message: "the key " + keys[0].AccessKey + " of the state is there already; Spaces showed its secret when it was made",
			Hint: "if nobody has it, delete the key " + keys[0].Name + " and run this again",
		})
		res.Outputs["aws_access_key_id"] = sdk.Out(keys[0].AccessKey)
		return res, nil
	}
	key, err := a.newSpacesKey(ctx, stateKeyName(bucket), nil, []*godo.Grant{{Bucket: bucket, Permission: godo.SpacesKeyReadWrite}})
	if err != nil {
		return nil, err
	}
	res.Created = append(res.Created, "Spaces key "+key.Name)
	// Named as the variables that the backend reads them from.
	res.Outputs["aws_access_key_id"], res.Outputs["aws_secret_access_key"] = sdk.Out(key.AccessKey), sdk.SecretOut(key.SecretKey)
	return res, nil
}

// ensure makes a bucket with versions where there is none. One of the account
// is left as it is; one of somebody else is an error.
func (s *store) ensure(ctx context.Context, name string) (made bool, err error) {
	err = s.has(ctx, name)
	if err == nil {
		return false, nil
	}
	if !sdk.IsNotFound(err) {
		return false, err
	}
	for attempt := 1; ; attempt++ {
		err := s.make(ctx, name, "private")
		lost := ambiguous(err)
		if err == nil || (lost || sdk.CodeOf(err) == sdk.CodeAlreadyExists) && s.has(ctx, name) == nil {
			break // a lost request may have made it
		}
		if !lost || attempt == makes {
			return false, err
		}
	}
	return true, s.put(ctx, name, "versioning", s3Versioning{Status: "Enabled"})
}
