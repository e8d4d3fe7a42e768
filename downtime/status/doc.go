// Package status serves the state of a guard's maintenance windows to operators, to users and
// to programs.
//
// The two main entries are [Handler] for operators, who see everything, and [PublicHandler] for
// users, who see announced windows. Handler denies everyone by default:
//
//	operators, err := status.Handler(g, &status.Options{Authorize: authorize})
//	admin.Handle("/maintenance/", operators)
//	users, err := status.PublicHandler(g, &status.Options{Service: "Example shop"})
//	public.Handle("/maintenance/", users)
//
// Both work under any prefix, stripped or not, with or without a slash at its end; all
// links are relative. [Summary] gives the state in one line, for a console of several packages.
//
// # Resources
//
//   - "" is a page. An operator's program gets status.json there, by Accept.
//   - status.json, for operators only, has the windows with phase, times and report: the
//     announced ones, the next occurrence of each window, and those completed within a day, at
//     most a hundred. It also has the time of the next change, the document's revision and age,
//     and the guard's problems.
//   - upcoming.json and active.json have the announced windows and those in progress, in the
//     format in which Atlassian Statuspage serves scheduled maintenances.
//     scheduled-maintenances.json has both and the completed ones. summary.json has everything,
//     with Options.Components. They are also below api/v2/, where programs for Statuspage
//     expect them, together with api/v2/status.json (the state of the service in one word).
//   - calendar.ics is an iCalendar feed to subscribe to: see [Calendar].
//
// # Commands
//
// The operators' page has forms to begin, complete, extend, cancel and drain a window. They work
// without script. With [Options].Editor, begin, complete, extend and cancel edit the guard's
// document and so reach all replicas; without it they act on this process only, and cancel is
// missing. Drain calls [downtime.Guard.Drain] in this process and waits a second: post it again until
// the report is quiet.
//
// A program posts the same form to the page, and gets JSON:
//
//   - command is begin, complete, extend, cancel or drain; window is the id.
//   - revision is that of the window in status.json.
//   - until is the new end for extend, in RFC 3339.
//
// The status is 412 if the window or its document has changed since the revision was read, so a
// replayed command never takes effect; 409 if the window's state does not allow the command; 403
// for a form of a different origin (see net/http.CrossOriginProtection) and if [Options].Authorize
// refuses. Options.Logger logs each command with who asked for it, also if it is refused.
//
// # Users and operators
//
// Users see the windows that are announced, in progress, or were completed within a day: title,
// message, times, and whether reads pass; at most a hundred. They do not see rehearsals, owners,
// runbooks, scopes, or anything about this process alone.
//
// Operators see everything, including the running work. Mount their handler on an administrative
// listener. Do not mount either handler behind the guard, because a window would close it.
package status
