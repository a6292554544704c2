package event_test

import (
	"testing"

	"github.com/gocodealone/wfctl/event"
)

// BenchmarkSSEPublishDelivery publishes an event to one subscriber in this
// process and receives it; the one over HTTP is in package web.
func BenchmarkSSEPublishDelivery(b *testing.B) {
	hub := event.NewHub()
	tap := hub.Listen("run")
	defer tap.Close()
	r := event.Record{Seq: 1, Event: event.NodeFinished{Address: "transform", Outcome: "ok"}}
	b.ReportAllocs()
	for b.Loop() {
		hub.Publish("run", r)
		<-tap.C
	}
}

func TestHubDoesNotWait(t *testing.T) {
	hub := event.NewHub()
	slow, other := hub.Listen("run"), hub.Listen("other")
	for i := range 100 {
		hub.Publish("run", event.Record{Seq: uint64(i)})
	}
	if !slow.Lagged() || slow.Lagged() {
		t.Error("a tap that missed something says so once")
	}
	if len(other.C) != 0 {
		t.Error("a tap hears another run")
	}
	slow.Close()
	hub.Publish("run", event.Record{})
	other.Close()
}
