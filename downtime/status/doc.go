// Package status shows how the maintenance windows of a guard stand: to operators, to users
// and to programs.
//
// Two names do most of it. [Handler] is for operators, who see everything, and denies
// by default; [PublicHandler] is for users, who see what is announced:
//
//	operators, err := status.Handler(g, &status.Options{Authorize: authorize})
//	admin.Handle("/maintenance/", operators)
//	users, err := status.PublicHandler(g, &status.Options{Service: "Example shop"})
//	public.Handle("/maintenance/", users)
//
// Both work under any prefix, stripped or not, with or without a slash at its end; all
// links are relative. [Summary] is the same in one line, for a console of several packages.
//
// # What is served
//
//   - "" is a page. Operators' programs get status.json there, by Accept.
//   - status.json, for operators only, has the windows with phase, times and report: those
//     announced, of each window also what comes next, and those completed within a day, at
//     most a hundred; when the state next changes; the document's revision and age; and what
//     is wrong.
//   - upcoming.json and active.json have the windows announced and those in progress, in the
//     shape that Atlassian Statuspage gives scheduled maintenances; scheduled-maintenances.json
//     has both and those completed, summary.json all of it with Options.Components. They are
//     also below api/v2/, where programs for Statuspage look, with api/v2/status.json (the
//     state of the service in one word).
//   - calendar.ics is an iCalendar feed to subscribe to: see [Calendar].
//
// # What users see
//
// Users see the windows that are announced by now, in progress, or were completed within a
// day: title, message, times, and whether reads pass; at most a hundred. They do not see
// rehearsals, owners, runbooks, scopes, or anything about this process alone.
//
// Operators see all of it, and what runs: mount their handler on an administrative listener,
// and neither of the two behind the guard, where a window would close it.
package status
