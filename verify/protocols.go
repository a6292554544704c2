package verify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"
)

// tcpProbe opens a connection, and with TLS shakes hands.
type tcpProbe struct {
	address string
	config  *tls.Config
	tls     *TLS // nil: it speaks in plain
}

func (p tcpProbe) probe(ctx context.Context) Sample {
	began := time.Now()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.address)
	if err != nil {
		return failedSample(err)
	}
	defer func() { _ = conn.Close() }()
	s := Sample{OK: true, Remote: conn.RemoteAddr().String(), Timing: Timing{Connect: time.Since(began)}}
	if p.tls == nil {
		return s
	}
	config := p.config.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(p.address)
	}
	began = time.Now()
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		failed := failedSample(err)
		failed.Timing, failed.Remote = s.Timing, s.Remote
		return failed
	}
	s.Timing.TLS = time.Since(began)
	s.CertificateEnds = secure.ConnectionState().PeerCertificates[0].NotAfter
	s.Reason = expiring(p.tls, s.CertificateEnds, time.Now())
	s.OK = s.Reason == ""
	return s
}

// dnsProbe resolves a name.
type dnsProbe struct{ name string }

func (p dnsProbe) probe(ctx context.Context) Sample {
	began := time.Now()
	addresses, err := net.DefaultResolver.LookupHost(ctx, p.name)
	s := Sample{OK: err == nil, Timing: Timing{DNS: time.Since(began)}, Remote: strings.Join(addresses, ", ")}
	if err != nil {
		failed := failedSample(err)
		s.Reason, s.Unasked = failed.Reason, false // resolving is the question
	}
	return s
}

// grpcProbe asks grpc.health.v1.Health/Check. The one message that this needs
// is small enough to write by hand, and HTTP/2 is the standard library's.
type grpcProbe struct {
	*target
	config *tls.Config
}

const healthMethod = "/grpc.health.v1.Health/Check"

// serving are the values of HealthCheckResponse.ServingStatus.
func serving(v uint64) string {
	names := []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}
	if v < uint64(len(names)) {
		return names[v]
	}
	return fmt.Sprint(v)
}

func (p *grpcProbe) probe(ctx context.Context) Sample {
	tr := &trace{}
	transport := &http.Transport{TLSClientConfig: p.config.Clone(), Protocols: new(http.Protocols)}
	defer transport.CloseIdleConnections()
	scheme := "http://"
	if p.TLS != nil {
		scheme = "https://"
		transport.Protocols.SetHTTP2(true)
	} else {
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, tr.hooks()), http.MethodPost, scheme+p.GRPC+healthMethod, bytes.NewReader(healthRequest(p.GRPCService)))
	if err != nil {
		return Sample{Reason: err.Error(), Unasked: true}
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	for k, v := range p.Headers {
		req.Header.Set(k, v)
	}
	s := grpcAnswer(transport, req)
	tr.fill(&s)
	if s.OK {
		s.Reason = expiring(p.TLS, s.CertificateEnds, time.Now())
		s.OK = s.Reason == ""
	}
	return s
}

// healthRequest is a framed HealthCheckRequest: field 1, the service's name.
func healthRequest(service string) []byte {
	var message []byte
	if service != "" {
		message = append(message, 1<<3|2)
		message = binary.AppendUvarint(message, uint64(len(service)))
		message = append(message, service...)
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(frame, message...)
}

func grpcAnswer(transport http.RoundTripper, req *http.Request) Sample {
	res, err := transport.RoundTrip(req)
	if err != nil {
		return failedSample(err)
	}
	defer func() { _ = res.Body.Close() }()
	s := Sample{Status: res.StatusCode, Protocol: res.Proto}
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	status := res.Trailer.Get("Grpc-Status")
	message := res.Trailer.Get("Grpc-Message")
	if status == "" {
		status, message = res.Header.Get("Grpc-Status"), res.Header.Get("Grpc-Message")
	}
	switch {
	case res.StatusCode != http.StatusOK:
		s.Reason = fmt.Sprintf("it answers HTTP %d: no gRPC server", res.StatusCode)
	case err != nil:
		s.Reason = "the answer broke off: " + err.Error()
	case status == "12":
		s.Reason = "it does not serve grpc.health.v1.Health"
	case status != "0":
		s.Reason = strings.TrimSpace(fmt.Sprintf("gRPC status %s %s", orDefault(status, "missing"), message))
	default:
		if got := healthStatus(body); got != "SERVING" {
			s.Reason = "it says " + got
		}
	}
	s.OK = s.Reason == ""
	return s
}

// healthStatus reads field 1 of a framed HealthCheckResponse.
func healthStatus(frame []byte) string {
	if len(frame) < 5 || frame[0] != 0 {
		return "nothing that can be read"
	}
	message := frame[5:]
	if len(message) == 0 {
		return serving(0)
	}
	if message[0] != 1<<3 {
		return "nothing that can be read"
	}
	v, n := binary.Uvarint(message[1:])
	if n <= 0 {
		return "nothing that can be read"
	}
	return serving(v)
}
