// Package s3 keeps state in an S3 bucket, or in what speaks S3 and honours
// If-None-Match (R2, Spaces, MinIO …). Credentials come from the environment,
// as for the AWS command line, and never from the configuration.
package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob/s3blob"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/blob"
	"github.com/gocodealone/wfctl/state/blob/cdk"
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

// minPart is the smallest part of an upload that S3 takes.
const minPart = 5 << 20

// Open opens the log of an environment.
func Open(ctx context.Context, o Options, env string) (state.Driver, error) {
	if o.Bucket == "" {
		return nil, fault.New(fault.Config, "iac.state: the backend s3 needs a `bucket`").WithHint("name the bucket that holds the state")
	}
	loads := []func(*config.LoadOptions) error{}
	if o.Profile != "" {
		loads = append(loads, config.WithSharedConfigProfile(o.Profile))
	}
	if o.Region != "" {
		loads = append(loads, config.WithRegion(o.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, loads...)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "iac.state: read the AWS configuration of this machine").
			WithHint("check `profile`, and AWS_PROFILE and AWS_CONFIG_FILE in the environment")
	}
	if cfg.Region == "" {
		if o.Endpoint == "" {
			return nil, fault.New(fault.Config, "iac.state: the backend s3 needs a `region`").WithHint("name it in the module, or set AWS_REGION")
		}
		cfg.Region = "us-east-1" // other stores sign with it and look no further
	}
	client := awss3.NewFromConfig(cfg, func(c *awss3.Options) {
		c.UsePathStyle = o.UsePathStyle
		if o.Endpoint != "" {
			c.BaseEndpoint = aws.String(o.Endpoint)
			c.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired // newer checksums are AWS's own
			c.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		}
	})
	opts := &s3blob.Options{}
	if o.Endpoint != "" {
		opts.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	}
	b, err := s3blob.OpenBucket(ctx, client, o.Bucket, opts)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "iac.state: open the bucket %s", o.Bucket)
	}
	return blob.Open(cdk.Bucket(b, "bucket "+o.Bucket, minPart), o.Prefix, env)
}
