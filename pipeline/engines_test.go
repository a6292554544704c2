package pipeline_test

import (
	"context"
	"testing"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/pipeline"
	"github.com/gocodealone/wfctl/pipeline/pipelinetest"
)

func TestInProcess(t *testing.T) {
	pipelinetest.Run(t, func(t *testing.T, p *pipeline.Pipeline, w *pipelinetest.World) (pipeline.Summary, error) {
		w.Answering(t)
		o := w.Options()
		o.Events.Emit(event.StepsPlanned{Pipeline: p.Name, Steps: p.Planned()})
		return pipeline.InProcess{}.Run(context.Background(), p, o)
	})
}
