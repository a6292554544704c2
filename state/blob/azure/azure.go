// Package azure keeps state in a container of Azure Blob Storage. Credentials
// come from the environment: AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, else
// what the Azure command line and a managed identity give.
package azure

import (
	"context"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob/azureblob"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/blob"
	"github.com/gocodealone/wfctl/state/blob/cdk"
)

// Options say where the state is.
type Options struct {
	Account   string `json:"account,omitempty"`
	Container string `json:"container"`
	Prefix    string `json:"prefix,omitempty"`
	Endpoint  string `json:"endpoint,omitempty"`
}

// Schema is the JSON Schema of [Options].
const Schema = `{"type": "object", "additionalProperties": false, "required": ["container"], "properties": {
	"account": {"type": "string", "description": "default: AZURE_STORAGE_ACCOUNT"},
	"container": {"type": "string", "minLength": 1},
	"prefix": {"type": "string", "description": "what the names of all blobs begin with"},
	"endpoint": {"type": "string", "format": "uri", "description": "the URL of the account's blob service, where it is not Azure's own"}}}`

// minPart is the smallest block of an upload.
const minPart = 64 << 10

// Open opens the log of an environment.
func Open(ctx context.Context, o Options, env string) (state.Driver, error) {
	if o.Account == "" {
		o.Account = os.Getenv("AZURE_STORAGE_ACCOUNT")
	}
	if o.Container == "" || o.Account == "" && o.Endpoint == "" {
		return nil, fault.New(fault.Config, "iac.state: the backend azure needs `account` and `container`").
			WithHint("name the storage account and the container that holds the state")
	}
	client, err := connect(o)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "iac.state: find the credentials of Azure").
			WithHint("set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or run `az login`")
	}
	b, err := azureblob.OpenBucket(ctx, client, nil)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "iac.state: open the container %s", o.Container)
	}
	return blob.Open(cdk.Bucket(b, "container "+o.Container, minPart), o.Prefix, env)
}

func connect(o Options) (*container.Client, error) {
	service := strings.TrimSuffix(o.Endpoint, "/")
	if service == "" {
		service = "https://" + o.Account + ".blob.core.windows.net"
	}
	if key := os.Getenv("AZURE_STORAGE_KEY"); key != "" && o.Account != "" {
		cred, err := azblob.NewSharedKeyCredential(o.Account, key)
		if err != nil {
			return nil, err
		}
		return container.NewClientWithSharedKeyCredential(service+"/"+url.PathEscape(o.Container), cred, nil)
	}
	if sas := os.Getenv("AZURE_STORAGE_SAS_TOKEN"); sas != "" {
		return container.NewClientWithNoCredential(service+"/"+url.PathEscape(o.Container)+"?"+strings.TrimPrefix(sas, "?"), nil)
	}
	return azureblob.NewDefaultClient(azureblob.ServiceURL(service), azureblob.ContainerName(o.Container))
}
