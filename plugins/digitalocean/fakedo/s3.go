package fakedo

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Spaces, the S3 API of DigitalOcean, is served below SpacesPath: path-style,
// with signatures of the keys that /v2/spaces/keys made, and with what those
// keys were granted. It has what buckets are managed with, and objects.

// SpacesPath is where Spaces are, below the server's URL.
const SpacesPath = "/_spaces"

// s3Call is one request to Spaces.
type s3Call struct {
	req         *http.Request
	body        []byte
	bucket, key string
	grants      []doc
}

// s3Reply is an answer; a document is written as XML.
type s3Reply struct {
	status int
	doc    any
	raw    []byte
	header map[string]string
}

type s3Error struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Resource  string
	RequestID string `xml:"RequestId"`
}

func s3Problem(status int, code, message string) s3Reply {
	return s3Reply{status: status, doc: s3Error{Code: code, Message: message}}
}

// serveSpaces answers a request for BUCKET/KEY, which is where the request says
// or, under a host of a bucket's own, a part of it.
func (s *Server) serveSpaces(w http.ResponseWriter, r *http.Request, target string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
	if err != nil {
		return // the client is gone
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	o := s3Operation(r.Method, bucket, key)
	f := s.begin(r, o)
	if f.is(FaultDropBefore) {
		panic(http.ErrAbortHandler)
	}
	rep := s.answerSpaces(r, o, &s3Call{req: r, body: body, bucket: bucket, key: key}, f)
	if f.is(FaultDropAfter) {
		panic(http.ErrAbortHandler)
	}
	writeSpaces(w, r, rep)
}

// s3Operation is how faults and the log call a request: "PUT /_spaces/{bucket}".
func s3Operation(method, bucket, key string) *operation {
	path := SpacesPath
	if bucket != "" {
		path += "/{bucket}"
	}
	if key != "" {
		path += "/{key}"
	}
	return &operation{pattern: method + " " + path, path: path}
}

func (s *Server) answerSpaces(r *http.Request, o *operation, c *s3Call, f picked) s3Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	rep := s.decideSpaces(c, f)
	if f.is(FaultErrorAfter) {
		rep = s3Problem(http.StatusInternalServerError, "InternalError", "We encountered an internal error.")
	}
	s.record(r, o.pattern, nil, rep.status, f.names())
	return rep
}

func (s *Server) decideSpaces(c *s3Call, f picked) s3Reply {
	if rep, bad := f.refusal(s); bad {
		return s3Problem(rep.status, map[bool]string{true: "SlowDown", false: "ServiceUnavailable"}[rep.status == http.StatusTooManyRequests], "Please try again.")
	}
	if rep, bad := s.authoriseSpaces(c); bad {
		return rep
	}
	if c.bucket == "" {
		return s.listBuckets(c)
	}
	if c.key != "" {
		return s.onObject(c)
	}
	return s.onBucket(c)
}

func writeSpaces(w http.ResponseWriter, r *http.Request, rep s3Reply) {
	for k, v := range rep.header {
		w.Header().Set(k, v)
	}
	data := rep.raw
	if rep.doc != nil {
		text, err := xml.Marshal(rep.doc)
		if err != nil {
			panic(fmt.Sprintf("fakedo: encode an answer of Spaces: %v", err))
		}
		data = append([]byte(xml.Header), text...)
		w.Header().Set("Content-Type", "application/xml")
	}
	w.WriteHeader(rep.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // a client that went away needs no answer
	}
}

var s3Credential = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/s3/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$`)

// authoriseSpaces checks a signature by making it again.
func (s *Server) authoriseSpaces(c *s3Call) (s3Reply, bool) {
	m := s3Credential.FindStringSubmatch(c.req.Header.Get("Authorization"))
	if m == nil {
		return s3Problem(http.StatusForbidden, "AccessDenied", "Access Denied."), true
	}
	key := s.find("spaces_key", m[1])
	if key == nil {
		return s3Problem(http.StatusForbidden, "InvalidAccessKeyId", "The access key does not exist."), true
	}
	if want := s.signatureOf(c.req, key, m[2], strings.Split(m[3], ";")); want != c.req.Header.Get("Authorization") {
		return s3Problem(http.StatusForbidden, "SignatureDoesNotMatch", "The signature does not match."), true
	}
	c.grants = docs(key.doc, "grants")
	if !allowedSpaces(c) {
		return s3Problem(http.StatusForbidden, "AccessDenied", "The key has no such grant."), true
	}
	return s3Reply{}, false
}

// allowedSpaces: a key for one bucket reads and writes what is in it, and does
// nothing to buckets themselves.
func allowedSpaces(c *s3Call) bool {
	read := c.req.Method == http.MethodGet || c.req.Method == http.MethodHead
	return slices.ContainsFunc(c.grants, func(g doc) bool {
		switch str(g, "permission") {
		case "fullaccess":
			return true
		case "readwrite":
			return str(g, "bucket") == c.bucket && (c.key != "" || read)
		case "read":
			return str(g, "bucket") == c.bucket && read
		}
		return false
	})
}

func (s *Server) signatureOf(r *http.Request, key *object, region string, signed []string) string {
	again, err := http.NewRequest(r.Method, "http://"+r.Host+r.URL.RequestURI(), http.NoBody)
	if err != nil {
		return ""
	}
	again.Host = r.Host
	for _, name := range signed {
		switch name {
		case "host":
		case "content-length":
			again.ContentLength = r.ContentLength
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return ""
	}
	creds := aws.Credentials{AccessKeyID: key.id, SecretAccessKey: key.secret["secret_key"]}
	plain := func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }
	if v4.NewSigner().SignHTTP(r.Context(), creds, again, r.Header.Get("X-Amz-Content-Sha256"), "s3", region, at, plain) != nil {
		return ""
	}
	return again.Header.Get("Authorization")
}

func (s *Server) bucketNamed(name string) *object { return s.find("bucket", name) }

type s3BucketList struct {
	XMLName xml.Name     `xml:"ListAllMyBucketsResult"`
	Buckets []s3BucketIn `xml:"Buckets>Bucket"`
}

type s3BucketIn struct {
	Name         string
	CreationDate string
}

func (s *Server) listBuckets(c *s3Call) s3Reply {
	if c.req.Method != http.MethodGet {
		return s3Problem(http.StatusMethodNotAllowed, "MethodNotAllowed", "The method is not allowed.")
	}
	var out s3BucketList
	for _, b := range s.listed("bucket", nil) {
		out.Buckets = append(out.Buckets, s3BucketIn{b.name, str(b.doc, "created_at")})
	}
	return s3Reply{status: http.StatusOK, doc: out}
}

var bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func (s *Server) onBucket(c *s3Call) s3Reply {
	b, q := s.bucketNamed(c.bucket), c.req.URL.Query()
	if c.req.Method == http.MethodPut && len(q) == 0 {
		return s.createBucket(c, b)
	}
	if b == nil {
		return s3Problem(http.StatusNotFound, "NoSuchBucket", "The bucket does not exist.")
	}
	for _, part := range []struct {
		name string
		do   func(*s3Call, *object) s3Reply
	}{{"acl", s.bucketACL}, {"versioning", s.bucketVersioning}, {"cors", s.bucketCORS}, {"versions", s.listVersions}, {"list-type", s.listObjects}} {
		if q.Has(part.name) {
			return part.do(c, b)
		}
	}
	switch c.req.Method {
	case http.MethodHead:
		return s3Reply{status: http.StatusOK, header: map[string]string{"X-Amz-Bucket-Region": str(b.doc, "region")}}
	case http.MethodDelete:
		if len(b.parts["versions"]) > 0 {
			return s3Problem(http.StatusConflict, "BucketNotEmpty", "The bucket you tried to delete is not empty.")
		}
		s.drop(b)
		return s3Reply{status: http.StatusNoContent}
	}
	return s3Problem(http.StatusNotImplemented, "NotImplemented", "fakedo does not implement this request to a bucket")
}

func (s *Server) createBucket(c *s3Call, b *object) s3Reply {
	acl := c.req.Header.Get("X-Amz-Acl")
	switch {
	case b != nil:
		return s3Problem(http.StatusConflict, "BucketAlreadyExists", "The name is taken.")
	case !bucketForm.MatchString(c.bucket):
		return s3Problem(http.StatusBadRequest, "InvalidBucketName", "The name is not valid.")
	case !slices.Contains([]string{"", "private", "public-read"}, acl):
		return s3Problem(http.StatusBadRequest, "InvalidArgument", "The ACL is not valid.")
	}
	if rep, bad := s.full("bucket"); bad {
		return s3Problem(http.StatusBadRequest, "TooManyBuckets", str(rep.body.(doc), "message"))
	}
	region := s3Credential.FindStringSubmatch(c.req.Header.Get("Authorization"))[2]
	s.add(nil, &object{kind: "bucket", id: c.bucket, name: c.bucket, doc: doc{"name": c.bucket, "region": region, "acl": defaultTo(acl, "private"), "created_at": s.stamp()}})
	return s3Reply{status: http.StatusOK, header: map[string]string{"Location": "/" + c.bucket}}
}

type s3ACLDoc struct {
	XMLName xml.Name  `xml:"AccessControlPolicy"`
	Owner   s3Owner   `xml:"Owner"`
	Grants  []s3Grant `xml:"AccessControlList>Grant"`
}

type s3Owner struct{ ID string }

type s3Grant struct {
	Grantee    s3Grantee
	Permission string
}

type s3Grantee struct {
	ID  string `xml:",omitempty"`
	URI string `xml:",omitempty"`
}

func (s *Server) bucketACL(c *s3Call, b *object) s3Reply {
	if c.req.Method == http.MethodPut {
		acl := c.req.Header.Get("X-Amz-Acl")
		if acl != "private" && acl != "public-read" {
			return s3Problem(http.StatusBadRequest, "InvalidArgument", "The ACL is not valid.")
		}
		b.doc["acl"] = acl
		return s3Reply{status: http.StatusOK}
	}
	out := s3ACLDoc{Owner: s3Owner{"1"}, Grants: []s3Grant{{s3Grantee{ID: "1"}, "FULL_CONTROL"}}}
	if str(b.doc, "acl") == "public-read" {
		out.Grants = append(out.Grants, s3Grant{s3Grantee{URI: "http://acs.amazonaws.com/groups/global/AllUsers"}, "READ"})
	}
	return s3Reply{status: http.StatusOK, doc: out}
}

type s3VersioningDoc struct {
	XMLName xml.Name `xml:"VersioningConfiguration"`
	Status  string   `xml:"Status,omitempty"`
}

func (s *Server) bucketVersioning(c *s3Call, b *object) s3Reply {
	if c.req.Method != http.MethodPut {
		return s3Reply{status: http.StatusOK, doc: s3VersioningDoc{Status: str(b.doc, "versioning")}}
	}
	var in s3VersioningDoc
	if xml.Unmarshal(c.body, &in) != nil || in.Status != "Enabled" && in.Status != "Suspended" {
		return s3Problem(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed.")
	}
	b.doc["versioning"] = in.Status
	return s3Reply{status: http.StatusOK}
}

// bucketCORS keeps the document as it came: rules are not applied.
func (s *Server) bucketCORS(c *s3Call, b *object) s3Reply {
	switch c.req.Method {
	case http.MethodPut:
		var in struct {
			Rules []struct {
				Origins []string `xml:"AllowedOrigin"`
				Methods []string `xml:"AllowedMethod"`
			} `xml:"CORSRule"`
		}
		if xml.Unmarshal(c.body, &in) != nil || len(in.Rules) == 0 {
			return s3Problem(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed.")
		}
		for _, r := range in.Rules {
			if len(r.Origins) == 0 || len(r.Methods) == 0 {
				return s3Problem(http.StatusBadRequest, "MalformedXML", "A rule needs an origin and a method.")
			}
		}
		if c.req.Header.Get("Content-MD5") == "" {
			return s3Problem(http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: Content-MD5.")
		}
		b.doc["cors"] = string(c.body)
		return s3Reply{status: http.StatusOK}
	case http.MethodDelete:
		delete(b.doc, "cors")
		return s3Reply{status: http.StatusNoContent}
	}
	if text := str(b.doc, "cors"); text != "" {
		return s3Reply{status: http.StatusOK, raw: []byte(text), header: map[string]string{"Content-Type": "application/xml"}}
	}
	return s3Problem(http.StatusNotFound, "NoSuchCORSConfiguration", "The CORS configuration does not exist.")
}

// Objects. A version is a part of its bucket: key, id, data; a marker has no
// data and says that the object is deleted.

func (s *Server) onObject(c *s3Call) s3Reply {
	b := s.bucketNamed(c.bucket)
	if b == nil {
		return s3Problem(http.StatusNotFound, "NoSuchBucket", "The bucket does not exist.")
	}
	newest := newestVersion(b, c.key)
	switch c.req.Method {
	case http.MethodPut:
		if c.req.Header.Get("If-None-Match") == "*" && newest != nil {
			return s3Problem(http.StatusPreconditionFailed, "PreconditionFailed", "The object is there.")
		}
		s.putVersion(b, c.key, doc{"data": bytes.Clone(c.body)})
		return s3Reply{status: http.StatusOK}
	case http.MethodGet, http.MethodHead:
		if newest == nil {
			return s3Problem(http.StatusNotFound, "NoSuchKey", "The key does not exist.")
		}
		data := newest["data"].([]byte)
		return s3Reply{status: http.StatusOK, raw: data, header: map[string]string{"Content-Length": strconv.Itoa(len(data))}}
	case http.MethodDelete:
		s.deleteObject(b, c.key, c.req.URL.Query().Get("versionId"), newest)
		return s3Reply{status: http.StatusNoContent}
	}
	return s3Problem(http.StatusMethodNotAllowed, "MethodNotAllowed", "The method is not allowed.")
}

// newestVersion is nil where there is none, or a marker says that it is gone.
func newestVersion(b *object, key string) doc {
	for _, v := range slices.Backward(b.parts["versions"]) {
		if str(v, "key") == key {
			if flag(v, "marker") {
				return nil
			}
			return v
		}
	}
	return nil
}

func (s *Server) putVersion(b *object, key string, v doc) {
	v["key"], v["id"] = key, "null"
	if str(b.doc, "versioning") == "Enabled" {
		v["id"] = s.hex(32)
	} else {
		s.removeVersion(b, key, "null")
	}
	b.parts["versions"] = append(b.parts["versions"], v)
}

func (s *Server) removeVersion(b *object, key, id string) {
	b.parts["versions"] = slices.DeleteFunc(b.parts["versions"], func(v doc) bool { return str(v, "key") == key && str(v, "id") == id })
}

func (s *Server) deleteObject(b *object, key, version string, newest doc) {
	switch {
	case version != "":
		s.removeVersion(b, key, version)
	case str(b.doc, "versioning") == "Enabled":
		if newest != nil {
			s.putVersion(b, key, doc{"marker": true})
		}
	default:
		s.removeVersion(b, key, "null")
	}
}

type s3VersionList struct {
	XMLName             xml.Name `xml:"ListVersionsResult"`
	IsTruncated         bool
	NextKeyMarker       string        `xml:",omitempty"`
	NextVersionIDMarker string        `xml:"NextVersionIdMarker,omitempty"`
	Versions            []s3VersionIn `xml:"Version"`
	Markers             []s3VersionIn `xml:"DeleteMarker"`
}

type s3VersionIn struct {
	Key       string
	VersionID string `xml:"VersionId"`
}

func (s *Server) listVersions(c *s3Call, b *object) s3Reply {
	out, most := s3VersionList{}, queryInt(c.req.URL.Query(), "max-keys", 1000)
	from := c.req.URL.Query().Get("key-marker") + "\x00" + c.req.URL.Query().Get("version-id-marker")
	sorted := slices.Clone(b.parts["versions"])
	slices.SortStableFunc(sorted, func(x, y doc) int {
		return strings.Compare(str(x, "key")+"\x00"+str(x, "id"), str(y, "key")+"\x00"+str(y, "id"))
	})
	for _, v := range sorted {
		if from != "\x00" && str(v, "key")+"\x00"+str(v, "id") <= from {
			continue
		}
		if len(out.Versions)+len(out.Markers) == most {
			out.IsTruncated = true
			break
		}
		in := s3VersionIn{str(v, "key"), str(v, "id")}
		out.NextKeyMarker, out.NextVersionIDMarker = in.Key, in.VersionID
		if flag(v, "marker") {
			out.Markers = append(out.Markers, in)
		} else {
			out.Versions = append(out.Versions, in)
		}
	}
	return s3Reply{status: http.StatusOK, doc: out}
}

type s3ObjectList struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	IsTruncated           bool
	NextContinuationToken string       `xml:",omitempty"`
	Contents              []s3ObjectIn `xml:"Contents"`
}

type s3ObjectIn struct {
	Key  string
	Size int
}

func (s *Server) listObjects(c *s3Call, b *object) s3Reply {
	q := c.req.URL.Query()
	keys := map[string]int{}
	for _, v := range b.parts["versions"] {
		key := str(v, "key")
		if newest := newestVersion(b, key); newest != nil && strings.HasPrefix(key, q.Get("prefix")) && key > q.Get("continuation-token") {
			if d := q.Get("delimiter"); d != "" && strings.Contains(strings.TrimPrefix(key, q.Get("prefix")), d) {
				continue // what is below is a common prefix, which nobody asks for here
			}
			keys[key] = len(newest["data"].([]byte))
		}
	}
	var out s3ObjectList
	most := queryInt(q, "max-keys", 1000)
	for _, key := range sortedNames(keys) {
		if len(out.Contents) == most {
			out.IsTruncated, out.NextContinuationToken = true, out.Contents[most-1].Key
			break
		}
		out.Contents = append(out.Contents, s3ObjectIn{key, keys[key]})
	}
	return s3Reply{status: http.StatusOK, doc: out}
}

func sortedNames(m map[string]int) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
