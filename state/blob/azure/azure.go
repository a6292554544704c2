// Package azure keeps state in a container of Azure Blob Storage. Credentials
// come from the environment: AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, else
// what the Azure command line and a managed identity give.
//
// It uses the SDK itself and not gocloud.dev, whose packages cost the start of
// every command 1.5 ms and 10 MB of binary (measured).
package azure

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	azureblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/blob"
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

// Open opens the log of an environment.
func Open(_ context.Context, o Options, env string) (state.Driver, error) {
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
	return blob.Open(blob.Remote(&bucket{client, o.Container}), o.Prefix, env)
}

func connect(o Options) (*container.Client, error) {
	service := strings.TrimSuffix(o.Endpoint, "/")
	if service == "" {
		service = "https://" + o.Account + ".blob.core.windows.net"
	}
	address := service + "/" + url.PathEscape(o.Container)
	options := &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Retry:     policy.RetryOptions{MaxRetries: -1}, // blob.Remote tries again, where that is safe
		Transport: &http.Client{Transport: transport()},
	}}
	if key := os.Getenv("AZURE_STORAGE_KEY"); key != "" && o.Account != "" {
		cred, err := azblob.NewSharedKeyCredential(o.Account, key)
		if err != nil {
			return nil, err
		}
		return container.NewClientWithSharedKeyCredential(address, cred, options)
	}
	if sas := os.Getenv("AZURE_STORAGE_SAS_TOKEN"); sas != "" {
		return container.NewClientWithNoCredential(address+"?"+strings.TrimPrefix(sas, "?"), options)
	}
	cred, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, err
	}
	return container.NewClient(address, cred, options)
}

func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 32 // as many as are asked at once
	return t
}

type bucket struct {
	client *container.Client
	name   string
}

// Create implements blob.Bucket.
func (b *bucket) Create(ctx context.Context, key string, data []byte) error {
	free := &azureblob.AccessConditions{ModifiedAccessConditions: &azureblob.ModifiedAccessConditions{IfNoneMatch: new(azcore.ETagAny)}}
	_, err := b.client.NewBlockBlobClient(key).Upload(ctx, streaming.NopCloser(bytes.NewReader(data)), &blockblob.UploadOptions{AccessConditions: free})
	return b.explain(err)
}

// Get implements blob.Bucket.
func (b *bucket) Get(ctx context.Context, key string) ([]byte, error) {
	res, err := b.client.NewBlobClient(key).DownloadStream(ctx, nil)
	if err != nil {
		return nil, b.explain(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	data, err := io.ReadAll(res.Body)
	return data, b.explain(err)
}

// List implements blob.Bucket.
func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		pages := b.client.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: &prefix})
		for pages.More() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield("", b.explain(err))
				return
			}
			for _, item := range page.Segment.BlobItems {
				if !yield(strings.TrimPrefix(*item.Name, prefix), nil) {
					return
				}
			}
		}
	}
}

// Delete implements blob.Bucket.
func (b *bucket) Delete(ctx context.Context, key string) error {
	_, err := b.client.NewBlobClient(key).Delete(ctx, nil)
	if err = b.explain(err); errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	return err
}

// Close implements blob.Bucket.
func (b *bucket) Close() error { return nil }

func (b *bucket) explain(err error) error {
	if err == nil {
		return nil
	}
	a := blob.Answer{Cause: err}
	var res *azcore.ResponseError
	if errors.As(err, &res) {
		a.Status = res.StatusCode
		// The SDK's own text is a page long.
		a.Cause = errors.New(http.StatusText(res.StatusCode) + " (" + res.ErrorCode + ")")
	}
	switch {
	case errors.Is(err, context.Canceled):
		a.Cause = context.Canceled
	case bloberror.HasCode(err, bloberror.ContainerNotFound):
		a.NoBucket = true
	case bloberror.HasCode(err, bloberror.BlobAlreadyExists, bloberror.ConditionNotMet):
		a.Status = http.StatusPreconditionFailed // Azurite answers 409 where Azure documents 412 too
	}
	var denied *azidentity.AuthenticationFailedError
	if errors.As(err, &denied) {
		a.Status = http.StatusUnauthorized
	}
	return a.Explain("container " + b.name)
}
