// Package s3 keeps state in an S3 bucket, or in what speaks S3 and honours
// If-None-Match (R2, Spaces, MinIO …). Credentials come from the environment,
// as for the AWS command line, and never from the configuration.
//
// Four requests, signed by the SDK's own signer, are all it needs. The SDK's
// client has a hundred, all of which stay in the binary: 8 MB, and 2 ms and
// 3 MB of memory at the start of every command (measured).
package s3

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/blob"
)

// Options say where the state is, in the words of Terraform's s3 backend.
type Options struct {
	Bucket       string `json:"bucket"`
	Prefix       string `json:"prefix,omitempty"`
	Region       string `json:"region,omitempty"`
	Endpoint     string `json:"endpoint,omitempty"`
	UsePathStyle bool   `json:"use_path_style,omitempty"`
	Profile      string `json:"profile,omitempty"`
}

// Schema is the JSON Schema of [Options].
const Schema = `{"type": "object", "additionalProperties": false, "required": ["bucket"], "properties": {
	"bucket": {"type": "string", "minLength": 1},
	"prefix": {"type": "string", "description": "what the keys of all objects begin with"},
	"region": {"type": "string", "description": "default: AWS_REGION or the profile's"},
	"endpoint": {"type": "string", "format": "uri", "description": "the URL of a store that speaks S3"},
	"use_path_style": {"type": "boolean", "description": "the bucket in the path and not in the host name"},
	"profile": {"type": "string", "description": "the profile of ~/.aws"}}}`

// Open opens the log of an environment.
func Open(ctx context.Context, o Options, env string) (state.Driver, error) {
	b, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	return blob.Open(b, o.Prefix, env)
}

// OpenBeside opens the log of an environment in a store that ignores
// If-None-Match, with a log beside it that gives out the numbers. The driver
// closes it, also when this fails.
func OpenBeside(ctx context.Context, o Options, env string, index state.Driver) (state.Driver, error) {
	b, err := connect(ctx, o)
	if err != nil {
		return nil, errors.Join(err, index.Close())
	}
	d, err := blob.Beside(b, o.Prefix, env, index)
	if err != nil {
		return nil, errors.Join(err, index.Close())
	}
	return d, nil
}

func connect(ctx context.Context, o Options) (blob.Bucket, error) {
	if o.Bucket == "" {
		return nil, fault.New(fault.Config, "iac.state: the backend s3 needs a `bucket`").WithHint("name the bucket that holds the state")
	}
	cfg, err := load(ctx, o)
	if err != nil {
		return nil, err
	}
	base, err := address(o, cfg)
	if err != nil {
		return nil, err
	}
	return blob.Remote(newBucket(o, cfg, base)), nil
}

func newBucket(o Options, cfg aws.Config, base *url.URL) *bucket {
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 32 // as many as are asked at once; else each has to shake hands again
	})
	return &bucket{client: client, signer: v4.NewSigner(), credentials: cfg.Credentials, region: cfg.Region, base: base, name: o.Bucket}
}

// address is the URL of the bucket. Its name is part of the host, unless the
// user wants it in the path or a certificate could not cover it.
func address(o Options, cfg aws.Config) (*url.URL, error) {
	endpoint := o.Endpoint
	for _, other := range []string{os.Getenv("AWS_ENDPOINT_URL_S3"), aws.ToString(cfg.BaseEndpoint), "https://s3." + cfg.Region + "." + domain(cfg.Region)} {
		if endpoint == "" {
			endpoint = other
		}
	}
	u, err := url.Parse(strings.TrimSuffix(endpoint, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fault.New(fault.Config, "iac.state: `endpoint` of the backend s3 is not a URL").WithHint("it looks like https://nyc3.digitaloceanspaces.com")
	}
	if o.UsePathStyle || strings.Contains(o.Bucket, ".") {
		u.Path += "/" + o.Bucket
	} else {
		u.Host = o.Bucket + "." + u.Host
	}
	return u, nil
}

// domain is that of a region's partition.
func domain(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// load reads the AWS configuration of the machine.
func load(ctx context.Context, o Options) (aws.Config, error) {
	loads := []func(*config.LoadOptions) error{}
	if o.Profile != "" {
		loads = append(loads, config.WithSharedConfigProfile(o.Profile))
	}
	if o.Region != "" {
		loads = append(loads, config.WithRegion(o.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, loads...)
	if err != nil {
		return cfg, fault.Wrap(fault.Config, err, "iac.state: read the AWS configuration of this machine").
			WithHint("check `profile`, and AWS_PROFILE and AWS_CONFIG_FILE in the environment")
	}
	if cfg.Region == "" {
		if o.Endpoint == "" {
			return cfg, fault.New(fault.Config, "iac.state: the backend s3 needs a `region`").WithHint("name it in the module, or set AWS_REGION")
		}
		cfg.Region = "us-east-1" // other stores sign with it and look no further
	}
	return cfg, nil
}
