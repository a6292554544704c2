package fakedo

import (
	"net/http"
	"slices"
	"strconv"
)

func (s *Server) accountRoutes() map[string]func(*call) reply {
	return map[string]func(*call) reply{
		"GET /v2/account":             s.getAccount,
		"GET /v2/regions":             s.listRegions,
		"GET /v2/sizes":               s.listSizes,
		"GET /v2/actions":             s.listActions,
		"GET /v2/actions/{action_id}": s.getAction,
	}
}

const accountID = "b6fc48dbf6d9906cace5f3c78dc9851e757381ef"

func (s *Server) getAccount(*call) reply {
	limit := 25
	if q, set := s.opts.Quotas["droplet"]; set {
		limit = q
	}
	return ok(doc{"account": doc{
		"droplet_limit": limit, "floating_ip_limit": 5, "email": "tester@example.com", "name": "Tester", "uuid": accountID,
		"email_verified": true, "status": "active", "status_message": "", "team": doc{"uuid": accountID, "name": "Testers"},
	}})
}

func (s *Server) listRegions(c *call) reply {
	return page(c, "regions", regionSlugs(), func(slug string) any { return regionDoc(slug) })
}

func (s *Server) listSizes(c *call) reply {
	return page(c, "sizes", machines, func(m machine) any { return m.doc() })
}

func (s *Server) listActions(c *call) reply {
	all := s.listed("action", nil)
	slices.Reverse(all)
	return page(c, "actions", all, docOf)
}

func (s *Server) getAction(c *call) reply {
	if o := s.read("action", c.param("action_id")); o != nil {
		return ok(doc{"action": o.doc})
	}
	return notFound()
}

func invalidRegion(slug string) (reply, bool) {
	if _, known := regionNames[slug]; known {
		return reply{}, false
	}
	return problem(http.StatusUnprocessableEntity, "You specified an invalid region: "+strconv.Quote(slug)), true
}
