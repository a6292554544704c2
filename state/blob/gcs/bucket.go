package gcs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/gocodealone/wfctl/state/blob"
)

type bucket struct {
	client     *http.Client
	base, name string
}

// maxError bounds what is read of an answer that is an error.
const maxError = 4 << 10

// ask sends a request and reads the whole answer.
func (b *bucket) ask(ctx context.Context, method, address string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, b.explain(0, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	res, err := b.client.Do(req)
	if err != nil {
		return nil, b.explain(tokenStatus(err), err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	if res.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, maxError))
		return nil, b.explain(res.StatusCode, fmt.Errorf("%s: %s", res.Status, message(text)))
	}
	data, err := io.ReadAll(res.Body)
	return data, b.explain(0, err)
}

// tokenStatus is the status that refused the credentials themselves, 0 for none.
func tokenStatus(err error) int {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < 500 {
		return http.StatusUnauthorized
	}
	return 0
}

// message is what an error of the JSON API says.
func message(text []byte) string {
	var doc struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(text, &doc) == nil && doc.Error.Message != "" {
		return doc.Error.Message
	}
	return strings.TrimSpace(string(text))
}

// Create implements blob.Bucket.
func (b *bucket) Create(ctx context.Context, key string, data []byte) error {
	query := url.Values{"uploadType": {"media"}, "ifGenerationMatch": {"0"}, "name": {key}, "fields": {"name"}}
	_, err := b.ask(ctx, http.MethodPost, b.base+"/upload/storage/v1/b/"+url.PathEscape(b.name)+"/o?"+query.Encode(), data)
	if errors.Is(err, blob.ErrNotFound) { // there is no object to be missing
		return b.missing(err)
	}
	return err
}

// Get implements blob.Bucket.
func (b *bucket) Get(ctx context.Context, key string) ([]byte, error) {
	return b.ask(ctx, http.MethodGet, b.object(key)+"?alt=media", nil)
}

// List implements blob.Bucket.
func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		query := url.Values{"prefix": {prefix}, "delimiter": {"/"}, "fields": {"items(name),nextPageToken"}}
		for {
			names, next, err := b.page(ctx, query)
			if err != nil {
				yield("", err)
				return
			}
			for _, name := range names {
				if !yield(strings.TrimPrefix(name, prefix), nil) {
					return
				}
			}
			if next == "" {
				return
			}
			query.Set("pageToken", next)
		}
	}
}

func (b *bucket) page(ctx context.Context, query url.Values) (names []string, next string, err error) {
	data, err := b.ask(ctx, http.MethodGet, b.object("")+"?"+query.Encode(), nil)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, "", b.missing(err)
	}
	if err != nil {
		return nil, "", err
	}
	var doc struct {
		Items []struct {
			Name string `json:"name"`
		} `json:"items"`
		Next string `json:"nextPageToken"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, "", b.explain(0, err)
	}
	for _, item := range doc.Items {
		names = append(names, item.Name)
	}
	return names, doc.Next, nil
}

// Delete implements blob.Bucket.
func (b *bucket) Delete(ctx context.Context, key string) error {
	_, err := b.ask(ctx, http.MethodDelete, b.object(key), nil)
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	return err
}

// Close implements blob.Bucket.
func (b *bucket) Close() error {
	b.client.CloseIdleConnections()
	return nil
}

// explain makes the error of an answer. A 404 about an object says "No such
// object", one about the bucket "The specified bucket does not exist".
func (b *bucket) explain(status int, cause error) error {
	if cause == nil {
		return nil
	}
	noBucket := status == http.StatusNotFound && strings.Contains(cause.Error(), "bucket does not exist")
	return blob.Answer{Status: status, NoBucket: noBucket, Cause: cause}.Explain("bucket " + b.name)
}

func (b *bucket) missing(cause error) error {
	return blob.Answer{Status: http.StatusNotFound, NoBucket: true, Cause: cause}.Explain("bucket " + b.name)
}
