// Package gcs keeps state in a bucket of Google Cloud Storage. Credentials
// are the application default credentials.
package gcs

import (
	"context"
	"net/http"
	"os"

	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/blob"
	"github.com/gocodealone/wfctl/state/blob/cdk"
)

// Options say where the state is, in the words of Terraform's gcs backend.
type Options struct {
	Bucket string `json:"bucket"`
	Prefix string `json:"prefix,omitempty"`
}

// Schema is the JSON Schema of [Options].
const Schema = `{"type": "object", "additionalProperties": false, "required": ["bucket"], "properties": {
	"bucket": {"type": "string", "minLength": 1},
	"prefix": {"type": "string", "description": "what the names of all objects begin with"}}}`

// minPart is the smallest chunk of an upload.
const minPart = 256 << 10

// Open opens the log of an environment.
func Open(ctx context.Context, o Options, env string) (state.Driver, error) {
	if o.Bucket == "" {
		return nil, fault.New(fault.Config, "iac.state: the backend gcs needs a `bucket`").WithHint("name the bucket that holds the state")
	}
	client, err := connect(ctx)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "iac.state: find the credentials of Google Cloud").
			WithHint("run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS")
	}
	b, err := gcsblob.OpenBucket(ctx, client, o.Bucket, nil)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "iac.state: open the bucket %s", o.Bucket)
	}
	return blob.Open(cdk.Bucket(b, "bucket "+o.Bucket, minPart), o.Prefix, env)
}

func connect(ctx context.Context) (*gcp.HTTPClient, error) {
	if os.Getenv("STORAGE_EMULATOR_HOST") != "" {
		return gcp.NewAnonymousHTTPClient(http.DefaultTransport), nil
	}
	creds, err := gcp.DefaultCredentials(ctx)
	if err != nil {
		return nil, err
	}
	return gcp.NewHTTPClient(gcp.DefaultTransport(), gcp.CredentialsTokenSource(creds))
}
