package fakedo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Token is the one that a server takes when Options names none.
const Token = "dop_v1_fakedo"

// Options of a Server. The zero value serves, given a Spec.
type Options struct {
	// Spec is the description that everything is held against.
	Spec *Spec
	// Clock is by default a FakeClock that stands at a fixed date.
	Clock Clock
	// AutoAdvance moves the clock with every request that reads and every
	// one that is refused, which is what a poller sends.
	AutoAdvance time.Duration
	// Tokens that are taken, each with its scopes ("database:read"); none
	// means all. By default Token is.
	Tokens map[string][]string
	// Seed of all that is random: ids, passwords, chaos.
	Seed uint64
	// Quotas is how many of a kind the account may have: "droplet" and
	// "database" and so on.
	Quotas map[string]int
	// RegistryHost is what docker credentials are for, by default the real
	// host. The fake's own address makes docker push to the fake; a program
	// in Go can use RegistryTransport instead.
	RegistryHost string
	// TakeReadOnly lets a request have fields that the description calls
	// read-only. The real service takes them: an app's network is set so.
	TakeReadOnly bool
	// CheckImages makes a deployment fail whose image is not in the
	// account's registry.
	CheckImages bool
	// World makes clusters and apps real; nil leaves them on paper.
	World World
}

// Server is the fake. It is an http.Handler.
type Server struct {
	// URL is where it listens, when Start has started it.
	URL string

	opts        Options
	implemented map[string]func(*call) reply
	registry    *dataPlane
	authority   authority

	mu         sync.Mutex
	now        time.Time
	due        []event
	random     *rand.Rand
	nextInt    int
	shelves    map[string]*shelf
	leaving    []leaving
	ciphers    map[string]string // what is hidden, by its cipher
	logs       map[string][]string
	follows    map[string]liveLog
	spoken     chan struct{}     // closed when somebody says something
	failing    map[string]*Fault // by the deployment that fails
	faults     []*Fault
	chaos      Chaos
	dice       *rand.Rand
	everMade   map[string]int
	entries    []Entry
	violations []string
	limitLeft  int
}

// New is a server with an empty account. It needs a Spec.
func New(o Options) *Server {
	if o.Clock == nil {
		o.Clock = NewFakeClock(time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC))
	}
	if o.Tokens == nil {
		o.Tokens = map[string][]string{Token: nil}
	}
	s := &Server{
		opts: o, now: o.Clock.Now(),
		random: rand.New(rand.NewPCG(o.Seed, 1)), dice: rand.New(rand.NewPCG(o.Seed, 2)),
		nextInt: 400_000_000, shelves: map[string]*shelf{}, ciphers: map[string]string{}, logs: map[string][]string{}, follows: map[string]liveLog{}, spoken: make(chan struct{}), everMade: map[string]int{}, failing: map[string]*Fault{},
		limitLeft: rateLimit,
	}
	s.registry = newDataPlane()
	s.addDefaultProject()
	s.implemented = s.handlers()
	return s
}

// handlers is all that the fake implements, by the description's path.
func (s *Server) handlers() map[string]func(*call) reply {
	all := map[string]func(*call) reply{}
	for _, group := range []map[string]func(*call) reply{
		s.accountRoutes(), s.vpcRoutes(), s.databaseRoutes(), s.databasePartRoutes(), s.tagRoutes(), s.projectRoutes(), s.appRoutes(),
		s.domainRoutes(), s.certificateRoutes(), s.registryRoutes(), s.dropletRoutes(), s.volumeRoutes(), s.firewallRoutes(),
		s.balancerRoutes(), s.spacesRoutes(), s.kubernetesRoutes(),
	} {
		maps.Copy(all, group)
	}
	return all
}

// ServeHTTP answers the API, the registry's data plane and the fake's own
// paths on one address.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		s.serveProxy(w, r)
		return
	}
	if isDataPlane(r) {
		s.serveDataPlane(w, r)
		return
	}
	if r.URL.Path == SpacesPath || strings.HasPrefix(r.URL.Path, SpacesPath+"/") {
		s.serveSpaces(w, r, strings.TrimPrefix(r.URL.Path, SpacesPath))
		return
	}
	if strings.HasPrefix(r.URL.Path, "/_fake/") {
		s.serveControl(w, r)
		return
	}
	if token, isLog := strings.CutPrefix(r.URL.Path, "/_logs/"); isLog {
		s.serveLog(w, r, token)
		return
	}
	o, params := s.opts.Spec.match(r)
	if o == nil {
		s.serveUnknown(w, r)
		return
	}
	s.serve(w, r, o, params)
}

func (s *Server) serveUnknown(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.violate(r, "the API description has no such path or method")
	rep, id := notFound(), s.requestID()
	rep.body = with(rep.body.(doc), doc{"request_id": id})
	s.record(r, "", nil, rep.status, "")
	s.mu.Unlock()
	s.write(w, rep, id)
}

// serve is the way of one request through faults, checks, handler and checks.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, o *operation, params map[string]string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return // the client is gone
	}
	f := s.begin(r, o)
	if f.is(FaultHang) {
		s.note(r, o, body, 0, FaultHang)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if f.is(FaultDropBefore) {
		s.note(r, o, body, 0, FaultDropBefore)
		panic(http.ErrAbortHandler)
	}
	rep, id := s.answer(r, o, params, body, f)
	if f.is(FaultDropAfter) {
		panic(http.ErrAbortHandler)
	}
	s.write(w, rep, id)
}

// begin moves the time and picks the faults for a request.
func (s *Server) begin(r *http.Request, o *operation) picked {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodGet {
		s.advance(s.opts.AutoAdvance)
	}
	s.tick()
	f := s.pick(r, o)
	if slow := f.get(FaultSlow); slow != nil {
		s.advance(time.Duration(slow.Delay))
		s.tick()
	}
	return f
}

// answer holds the lock for the whole of a request's effect.
func (s *Server) answer(r *http.Request, o *operation, params map[string]string, body []byte, f picked) (reply, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rep := s.decide(r, o, params, body, f)
	if e := f.get(FaultErrorAfter); e != nil {
		rep = e.reply(http.StatusInternalServerError, "Server was unable to give you a response.")
	}
	id := s.requestID()
	if m, isDoc := rep.body.(doc); isDoc && rep.status >= 400 {
		rep.body = with(m, doc{"request_id": id})
	}
	rep.body = s.freeze(rep.body)
	s.checkReply(r, o, rep)
	s.record(r, o.pattern, body, rep.status, f.names())
	if rep.status >= 400 && r.Method != http.MethodGet {
		s.advance(s.opts.AutoAdvance)
	}
	return rep, id
}

// decide is who may, whether it is well formed, and what it does.
func (s *Server) decide(r *http.Request, o *operation, params map[string]string, body []byte, f picked) reply {
	if rep, bad := f.refusal(s); bad {
		return rep
	}
	if rep, bad := s.authorise(r, o); bad {
		return rep
	}
	c := &call{req: r, query: r.URL.Query(), params: params, base: baseURL(r)}
	if lag := f.get(FaultLag); lag != nil {
		c.lag = max(lag.Reads, 1)
	}
	decoded, rep, bad := s.checkRequest(r, o, body, c.params)
	if bad {
		return rep
	}
	c.body = decoded
	handle := s.implemented[o.pattern]
	if handle == nil {
		s.violate(r, "the fake does not implement "+o.pattern)
		return problem(http.StatusNotImplemented, "fakedo does not implement "+o.pattern)
	}
	return handle(c)
}

// freeze encodes while the lock is held, since bodies share state.
func (s *Server) freeze(body any) any {
	if body == nil {
		return nil
	}
	if text, isText := body.(rawText); isText {
		return json.RawMessage(text)
	}
	data, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("fakedo: encode an answer: %v", err))
	}
	return json.RawMessage(data)
}

const rateLimit = 5000

func (s *Server) write(w http.ResponseWriter, rep reply, id string) {
	h := w.Header()
	for k, v := range s.rateHeaders() {
		h.Set(k, v)
	}
	h.Set("x-request-id", id)
	for k, v := range rep.header {
		h[k] = v
	}
	if rep.body == nil {
		w.WriteHeader(rep.status)
		return
	}
	data, isRaw := rep.body.(json.RawMessage)
	if !isRaw {
		data, _ = json.Marshal(rep.body)
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	w.WriteHeader(rep.status)
	// A client that went away has had its answer written for it.
	_, _ = io.Copy(w, bytes.NewReader(data))
}

func (s *Server) rateHeaders() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limitLeft > 1 {
		s.limitLeft--
	}
	return map[string]string{
		"ratelimit-limit":     strconv.Itoa(rateLimit),
		"ratelimit-remaining": strconv.Itoa(s.limitLeft),
		"ratelimit-reset":     strconv.FormatInt(s.now.Add(time.Hour).Unix(), 10),
	}
}

func baseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// authorise knows the token, and the scopes that the description asks for.
func (s *Server) authorise(r *http.Request, o *operation) (reply, bool) {
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	scopes, known := s.opts.Tokens[token]
	if !isBearer || !known {
		return problem(http.StatusUnauthorized, "Unable to authenticate you"), true
	}
	if scopes == nil || o.op.Security == nil {
		return reply{}, false
	}
	for _, way := range *o.op.Security {
		for _, scope := range way["bearer_auth"] {
			if !slices.Contains(scopes, scope) {
				return problem(http.StatusForbidden, "You are not authorized to perform this operation. The token lacks the scope "+scope), true
			}
		}
	}
	return reply{}, false
}

// Clock is the one that the server runs on.
func (s *Server) Clock() Clock { return s.opts.Clock }
