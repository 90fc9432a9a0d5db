package policy

// crowdedFrom is how many endpoints on one host are worth an index.
const crowdedFrom = 16

// crowd indexes the endpoints of one host by program, so that a decision there
// looks only at what can match the process. It must find every endpoint that a
// scan would; a property test compares them.
type crowd struct {
	byProgram map[string][]*endpoint // rules that name the program exactly
	others    []*endpoint            // rules with a pattern, or for every program
}

// crowds makes an index for each host with many endpoints.
func crowds(exact map[string][]*endpoint) map[string]*crowd {
	out := map[string]*crowd{}
	for host, list := range exact {
		if len(list) < crowdedFrom {
			continue
		}
		c := &crowd{byProgram: map[string][]*endpoint{}}
		for _, e := range list {
			c.add(e)
		}
		out[host] = c
	}
	return out
}

func (c *crowd) add(e *endpoint) {
	if e.rule.AnyBinary {
		c.others = append(c.others, e)
		return
	}
	for i := range e.rule.binaries {
		if !e.rule.binaries[i].path.isLiteral {
			c.others = append(c.others, e)
			return
		}
	}
	for i := range e.rule.binaries {
		// A program that a rule names twice is filed once.
		path := e.rule.binaries[i].path.literal
		if list := c.byProgram[path]; len(list) == 0 || list[len(list)-1] != e {
			c.byProgram[path] = append(list, e)
		}
	}
}

// of appends the lists that can hold a rule for the process. An endpoint may
// come twice, by the process and by an ancestor; deciding twice changes nothing.
func (c *crowd) of(caller *Caller, out [][]*endpoint) [][]*endpoint {
	out = append(out, c.others)
	if list := c.byProgram[caller.Path]; list != nil {
		out = append(out, list)
	}
	for i := range caller.Ancestors {
		if list := c.byProgram[caller.Ancestors[i].Path]; list != nil {
			out = append(out, list)
		}
	}
	return out
}
