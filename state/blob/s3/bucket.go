package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/gocodealone/wfctl/state/blob"
)

type bucket struct {
	client interface {
		Do(*http.Request) (*http.Response, error)
	}
	signer       *v4.Signer
	credentials  aws.CredentialsProvider
	region, name string
	base         *url.URL
}

// maxError bounds what is read of an answer that is an error.
const maxError = 4 << 10

// request is one to the bucket; key "" is the bucket as a whole.
func (b *bucket) request(ctx context.Context, method, key string, query url.Values, body []byte) (*http.Request, error) {
	u := *b.base
	if key != "" {
		u.Path += "/" + key
	}
	u.RawPath = escape(u.Path)
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // as the signature wants it
	return http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
}

// escape encodes all but what RFC 3986 calls unreserved, and slashes.
func escape(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// send signs a request, sends it and reads the whole answer.
func (b *bucket) send(ctx context.Context, req *http.Request, body []byte) ([]byte, error) {
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", digest)
	if b.credentials == nil {
		return nil, b.explain(http.StatusUnauthorized, "", errors.New("there are no AWS credentials"))
	}
	creds, err := b.credentials.Retrieve(ctx)
	if err != nil {
		return nil, b.explain(credentialStatus(ctx), "", err)
	}
	raw := func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true } // S3 alone encodes a path once
	if err := b.signer.SignHTTP(ctx, creds, req, digest, "s3", b.region, time.Now(), raw); err != nil {
		return nil, b.explain(0, "", err)
	}
	res, err := b.client.Do(req)
	if err != nil {
		return nil, b.explain(0, "", err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	if res.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, maxError))
		return nil, b.refusal(res, text)
	}
	data, err := io.ReadAll(res.Body)
	return data, b.explain(0, "", err)
}

// credentialStatus: no credentials is a refusal, unless the request was given up.
func credentialStatus(ctx context.Context) int {
	if ctx.Err() != nil {
		return 0
	}
	return http.StatusUnauthorized
}

// refusal reads an answer that is an error.
func (b *bucket) refusal(res *http.Response, text []byte) error {
	var doc struct {
		Code    string
		Message string
	}
	_ = xml.Unmarshal(text, &doc) // some answers have no body
	said := strings.TrimSpace(res.Status + " " + doc.Code + " " + doc.Message)
	if region := res.Header.Get("X-Amz-Bucket-Region"); region != "" && region != b.region {
		said += "; the bucket is in region " + region
	}
	return b.explain(res.StatusCode, doc.Code, errors.New(said))
}

func (b *bucket) explain(status int, code string, cause error) error {
	if errors.Is(cause, context.Canceled) {
		cause = context.Canceled
	}
	return blob.Answer{Status: status, NoBucket: code == "NoSuchBucket", Cause: cause}.Explain("bucket " + b.name)
}

// Create implements blob.Bucket.
func (b *bucket) Create(ctx context.Context, key string, data []byte) error {
	req, err := b.request(ctx, http.MethodPut, key, nil, data)
	if err != nil {
		return b.explain(0, "", err)
	}
	req.Header.Set("If-None-Match", "*")
	req.Header.Set("Content-Type", "application/octet-stream")
	_, err = b.send(ctx, req, data)
	return err
}

// Get implements blob.Bucket.
func (b *bucket) Get(ctx context.Context, key string) ([]byte, error) {
	return b.ask(ctx, http.MethodGet, key, nil)
}

func (b *bucket) ask(ctx context.Context, method, key string, query url.Values) ([]byte, error) {
	req, err := b.request(ctx, method, key, query, nil)
	if err != nil {
		return nil, b.explain(0, "", err)
	}
	return b.send(ctx, req, nil)
}

// listing is one page of ListObjectsV2.
type listing struct {
	Contents []struct {
		Key string
	}
	IsTruncated           bool
	NextContinuationToken string
}

// List implements blob.Bucket.
func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		query := url.Values{"list-type": {"2"}, "prefix": {prefix}, "delimiter": {"/"}}
		for {
			var page listing
			data, err := b.ask(ctx, http.MethodGet, "", query)
			if err == nil {
				err = b.explain(0, "", xml.Unmarshal(data, &page))
			}
			if err != nil {
				yield("", err)
				return
			}
			for _, obj := range page.Contents {
				if !yield(strings.TrimPrefix(obj.Key, prefix), nil) {
					return
				}
			}
			if !page.IsTruncated || page.NextContinuationToken == "" {
				return
			}
			query.Set("continuation-token", page.NextContinuationToken)
		}
	}
}

// Delete implements blob.Bucket.
func (b *bucket) Delete(ctx context.Context, key string) error {
	_, err := b.ask(ctx, http.MethodDelete, key, nil)
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	return err
}

// Close implements blob.Bucket.
func (b *bucket) Close() error { return nil }
