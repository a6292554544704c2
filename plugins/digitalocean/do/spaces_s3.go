package do

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // S3 asks for it as a checksum
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/gocodealone/wfctl/sdk"
)

// store is the S3 API of Spaces in one region. Some ten requests, signed by the
// signer of Amazon's SDK, are all that buckets need; the SDK's client would
// make the plugin half as large again.
type store struct {
	a        *account
	region   string
	endpoint *url.URL
	// pathStyle puts the bucket into the path and not into the host.
	pathStyle bool
	key       aws.Credentials
}

// spacesRegions are those that have Spaces.
func spacesRegions() []string {
	return []string{"nyc3", "ams3", "atl1", "blr1", "fra1", "lon1", "ric1", "sfo2", "sfo3", "sgp1", "syd1", "tor1"}
}

// regionsOfSpaces are where buckets may be: the account's region first. An
// endpoint that is set is the only one.
func (a *account) regionsOfSpaces() []string {
	if a.spacesEndpoint != "" {
		return []string{cmp.Or(a.region, "us-east-1")}
	}
	list := []string{}
	if a.region != "" {
		list = append(list, a.region)
	}
	for _, r := range spacesRegions() {
		if r != a.region {
			list = append(list, r)
		}
	}
	return list
}

// store opens the Spaces of a region.
func (a *account) store(ctx context.Context, region string) (*store, error) {
	endpoint := cmp.Or(a.spacesEndpoint, "https://"+region+".digitaloceanspaces.com")
	u, err := url.Parse(strings.TrimSuffix(endpoint, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, invalid("/spaces_endpoint", "spaces_endpoint %q is no URL", endpoint)
	}
	key, err := a.spacesKey(ctx)
	if err != nil {
		return nil, err
	}
	return &store{a: a, region: region, endpoint: u, pathStyle: a.spacesEndpoint != "", key: key}, nil
}

// address is the URL of a bucket, or of an object in it.
func (s *store) address(bucket, object string, query url.Values) string {
	u := *s.endpoint
	switch {
	case bucket == "":
	case s.pathStyle || strings.Contains(bucket, "."):
		u.Path += "/" + bucket
	default:
		u.Host = bucket + "." + u.Host
	}
	u.Path += "/" + object
	u.RawPath = s3Escape(u.Path)
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // as the signature wants it
	return u.String()
}

// s3Escape encodes all but what RFC 3986 calls unreserved, and slashes.
func s3Escape(path string) string {
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

// s3Request is one request to Spaces.
type s3Request struct {
	method, bucket, object string
	query                  url.Values
	header                 map[string]string
	body                   []byte
	makes                  bool
}

// do sends a request and reads the answer. A key that is new is not known
// everywhere at once. A request for a bucket is not sent again when it may have
// had its effect: the answer to the second one would be that the name is taken,
// by whom it does not say.
func (s *store) do(ctx context.Context, r s3Request, doing string) ([]byte, error) {
	pause := backoff{s.a.poll / 2, 8 * s.a.poll}
	for attempt := 1; ; attempt++ {
		data, err := s.once(ctx, r, doing)
		passes := ambiguous(err) && !r.makes || unknownKey(err) || sdk.CodeOf(err) == sdk.CodeRateLimited
		if !passes || attempt == attempts {
			return data, err
		}
		if err := s.a.clock.Sleep(ctx, pause.wait()); err != nil {
			return nil, err
		}
	}
}

func (s *store) once(ctx context.Context, r s3Request, doing string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, s.address(r.bucket, r.object, r.query), bytes.NewReader(r.body))
	if err != nil {
		return nil, sdk.Wrap(sdk.CodeInvalid, err, doing)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	if len(r.body) > 0 {
		sum := md5.Sum(r.body) //nolint:gosec // as above
		req.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
		req.Header.Set("Content-Type", "application/xml")
	}
	sum := sha256.Sum256(r.body)
	digest := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", digest)
	plain := func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true } // S3 alone encodes a path once
	if err := v4.NewSigner().SignHTTP(ctx, s.key, req, digest, "s3", s.region, time.Now(), plain); err != nil {
		return nil, sdk.Wrap(sdk.CodeInternal, err, doing)
	}
	res, err := s.a.transport.RoundTrip(req)
	if err != nil {
		return nil, said(err, doing)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	data, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if res.StatusCode/100 != 2 {
		return nil, s3Refusal(res.StatusCode, data, doing)
	}
	return data, said(err, doing)
}

// s3Fault is what S3 answers when it refuses.
type s3Fault struct {
	Code    string
	Message string
	status  int
}

// Error implements error.
func (f *s3Fault) Error() string {
	return strings.TrimSpace(fmt.Sprintf("Spaces answers %d: %s %s", f.status, f.Code, f.Message))
}

func s3Refusal(status int, body []byte, doing string) error {
	f := &s3Fault{status: status}
	_ = xml.Unmarshal(body, f) // an answer to HEAD has no body
	e := &sdk.Error{Code: codeOf(status, ""), Message: doing, Err: f}
	switch f.Code {
	case "BucketAlreadyExists":
		e.Code, e.Hint = sdk.CodeAlreadyExists, "names of buckets are one space for all customers: choose another"
	case "BucketAlreadyOwnedByYou":
		e.Code = sdk.CodeAlreadyExists
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied":
		e.Code, e.Hint = sdk.CodeUnauthorised, "check spaces_access_id and spaces_secret_key of the iac.provider module, or leave them out: a temporary key is made then"
	case "SlowDown", "ServiceUnavailable", "InternalError":
		e.Code = sdk.CodeUnavailable
	}
	return e
}

func unknownKey(err error) bool { return faultCode(err) == "InvalidAccessKeyId" }

func faultCode(err error) string {
	var f *s3Fault
	if errors.As(err, &f) {
		return f.Code
	}
	return ""
}

// ask sends a request and decodes the XML of the answer.
func ask[T any](ctx context.Context, s *store, r s3Request, doing string) (out T, err error) {
	data, err := s.do(ctx, r, doing)
	if err != nil {
		return out, err
	}
	return out, sdk.Wrap(sdk.CodeInternal, xml.Unmarshal(data, &out), doing)
}

// put sends a document.
func (s *store) put(ctx context.Context, bucket, what string, doc any) error {
	body, err := xml.Marshal(doc)
	if err != nil {
		return sdk.Wrap(sdk.CodeInternal, err, "write "+what)
	}
	_, err = s.do(ctx, s3Request{method: http.MethodPut, bucket: bucket, query: url.Values{what: {""}}, body: body}, "set the "+what+" of the bucket "+bucket)
	return err
}

// The documents of S3.
type (
	s3Buckets struct {
		Buckets []struct{ Name string } `xml:"Buckets>Bucket"`
	}
	s3ACL struct {
		Grants []struct {
			Grantee    struct{ URI, ID string }
			Permission string
		} `xml:"AccessControlList>Grant"`
	}
	s3Versioning struct {
		XMLName xml.Name `xml:"VersioningConfiguration"`
		Status  string   `xml:"Status,omitempty"`
	}
	s3CORS struct {
		XMLName xml.Name     `xml:"CORSConfiguration"`
		Rules   []s3CORSRule `xml:"CORSRule"`
	}
	s3CORSRule struct {
		Origins []string `xml:"AllowedOrigin"`
		Methods []string `xml:"AllowedMethod"`
		Headers []string `xml:"AllowedHeader"`
		MaxAge  int      `xml:"MaxAgeSeconds,omitempty"`
	}
	s3Versions struct {
		Versions      []s3Version `xml:"Version"`
		Markers       []s3Version `xml:"DeleteMarker"`
		IsTruncated   bool
		NextKeyMarker string
		NextVersion   string `xml:"NextVersionIdMarker"`
	}
	s3Version struct {
		Key       string
		VersionID string `xml:"VersionId"`
	}
)

// allUsers is anybody, in an ACL; some stores call it all-users instead.
const allUsers = "http://acs.amazonaws.com/groups/global/AllUsers"

func (s *store) buckets(ctx context.Context) ([]string, error) {
	list, err := ask[s3Buckets](ctx, s, s3Request{method: http.MethodGet}, "list the buckets of "+s.region)
	var names []string
	for _, b := range list.Buckets {
		names = append(names, b.Name)
	}
	return names, err
}

func (s *store) make(ctx context.Context, bucket, acl string) error {
	r := s3Request{method: http.MethodPut, bucket: bucket, makes: true}
	if acl != "" {
		// Stores that are like Amazon's forbid ACLs unless they are asked not to.
		r.header = map[string]string{"X-Amz-Acl": acl, "X-Amz-Object-Ownership": "ObjectWriter"}
	}
	_, err := s.do(ctx, r, "create the bucket "+bucket)
	return err
}

func (s *store) has(ctx context.Context, bucket string) error {
	_, err := s.do(ctx, s3Request{method: http.MethodHead, bucket: bucket}, "read the bucket "+bucket)
	return err
}

func (s *store) remove(ctx context.Context, bucket string) error {
	_, err := s.do(ctx, s3Request{method: http.MethodDelete, bucket: bucket}, "delete the bucket "+bucket)
	return err
}

func (s *store) acl(ctx context.Context, bucket string) (string, error) {
	acl, err := ask[s3ACL](ctx, s, s3Request{method: http.MethodGet, bucket: bucket, query: url.Values{"acl": {""}}}, "read the ACL of the bucket "+bucket)
	for _, g := range acl.Grants {
		if (g.Grantee.URI == allUsers || g.Grantee.ID == "all-users") && g.Permission == "READ" {
			return "public-read", err
		}
	}
	return "private", err
}

func (s *store) setACL(ctx context.Context, bucket, acl string) error {
	_, err := s.do(ctx, s3Request{method: http.MethodPut, bucket: bucket, query: url.Values{"acl": {""}}, header: map[string]string{"X-Amz-Acl": acl}}, "set the ACL of the bucket "+bucket)
	return err
}

func (s *store) versioning(ctx context.Context, bucket string) (bool, error) {
	v, err := ask[s3Versioning](ctx, s, s3Request{method: http.MethodGet, bucket: bucket, query: url.Values{"versioning": {""}}}, "read the versioning of the bucket "+bucket)
	return v.Status == "Enabled", err
}

func (s *store) cors(ctx context.Context, bucket string) ([]s3CORSRule, error) {
	c, err := ask[s3CORS](ctx, s, s3Request{method: http.MethodGet, bucket: bucket, query: url.Values{"cors": {""}}}, "read the CORS rules of the bucket "+bucket)
	if faultCode(err) == "NoSuchCORSConfiguration" {
		return nil, nil
	}
	return c.Rules, err
}

func (s *store) setCORS(ctx context.Context, bucket string, rules []s3CORSRule) error {
	if len(rules) > 0 {
		return s.put(ctx, bucket, "cors", s3CORS{Rules: rules})
	}
	_, err := s.do(ctx, s3Request{method: http.MethodDelete, bucket: bucket, query: url.Values{"cors": {""}}}, "remove the CORS rules of the bucket "+bucket)
	return err
}

// versions lists what a bucket holds, all versions of it; most is how many to
// ask for.
func (s *store) versions(ctx context.Context, bucket string, from s3Versions, most int) (s3Versions, error) {
	q := url.Values{"versions": {""}, "max-keys": {fmt.Sprint(most)}}
	if from.NextKeyMarker != "" {
		q.Set("key-marker", from.NextKeyMarker)
		q.Set("version-id-marker", from.NextVersion)
	}
	return ask[s3Versions](ctx, s, s3Request{method: http.MethodGet, bucket: bucket, query: q}, "list the objects of the bucket "+bucket)
}

func (s *store) removeObject(ctx context.Context, bucket string, v s3Version) error {
	q := url.Values{}
	if v.VersionID != "" && v.VersionID != "null" {
		q.Set("versionId", v.VersionID)
	}
	_, err := s.do(ctx, s3Request{method: http.MethodDelete, bucket: bucket, object: v.Key, query: q}, "delete "+v.Key)
	if sdk.IsNotFound(err) {
		return nil
	}
	return err
}
