package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // the cases are the same wherever the tests run
)

func Example() {
	if err := printCases(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// Europe/Madrid, daily at 02:30: the clocks skip it
	//   downtime  28 02:30+01:00, 29 03:30+02:00, 30 02:30+02:00  as RFC 5545 has it
	//   rrule-go  28 02:30+01:00, 29 03:30+02:00, 30 02:30+02:00  as RFC 5545 has it
	//   cron      28 02:30+01:00, 30 02:30+02:00                  skips the night
	//
	// Europe/Madrid, daily at 02:30: it comes twice
	//   downtime  24 02:30+02:00, 25 02:30+02:00, 26 02:30+01:00                  as RFC 5545 has it
	//   rrule-go  24 02:30+02:00, 25 02:30+01:00, 26 02:30+01:00                  at another time
	//   cron      24 02:30+02:00, 25 02:30+02:00, 25 02:30+01:00, 26 02:30+01:00  has a night twice
	//
	// America/New_York, daily at 02:30: the clocks skip it
	//   downtime  7 02:30-05:00, 8 03:30-04:00, 9 02:30-04:00  as RFC 5545 has it
	//   rrule-go  7 02:30-05:00, 8 01:30-05:00, 9 02:30-04:00  at another time
	//   cron      7 02:30-05:00, 9 02:30-04:00                 skips the night
	//
	// America/New_York, daily at 01:30: it comes twice
	//   downtime  31 01:30-04:00, 1 01:30-04:00, 2 01:30-05:00                 as RFC 5545 has it
	//   rrule-go  31 01:30-04:00, 1 01:30-04:00, 2 01:30-05:00                 as RFC 5545 has it
	//   cron      31 01:30-04:00, 1 01:30-04:00, 1 01:30-05:00, 2 01:30-05:00  has a night twice
	//
	// Australia/Lord_Howe, daily at 02:15: half an hour is skipped
	//   downtime  3 02:15+10:30, 4 02:45+11:00, 5 02:15+11:00  as RFC 5545 has it
	//   rrule-go  3 02:15+10:30, 4 02:45+11:00, 5 02:15+11:00  as RFC 5545 has it
	//   cron      3 02:15+10:30, 5 02:15+11:00                 skips the night
	//
	// Africa/Cairo, daily at 00:30: midnight is skipped
	//   downtime  23 00:30+02:00, 24 01:30+03:00, 25 00:30+03:00  as RFC 5545 has it
	//   rrule-go  23 00:30+02:00, 24 01:30+03:00, 25 00:30+03:00  as RFC 5545 has it
	//   cron      23 00:30+02:00, 25 00:30+03:00                  skips the night
	//
	// America/Santiago, daily at 00:30: midnight is skipped
	//   downtime  5 00:30-04:00, 6 01:30-03:00, 7 00:30-03:00  as RFC 5545 has it
	//   rrule-go  5 00:30-04:00, 5 00:30-04:00, 7 00:30-03:00  skips the night
	//   cron      5 00:30-04:00, 7 00:30-03:00                 skips the night
	//
	// Antarctica/Troll, daily at 01:30: two hours are skipped
	//   downtime  28 01:30Z, 29 03:30+02:00, 30 01:30+02:00  as RFC 5545 has it
	//   rrule-go  28 01:30Z, 29 03:30+02:00, 30 01:30+02:00  as RFC 5545 has it
	//   cron      28 01:30Z, 30 01:30+02:00                  skips the night
	//
	// Antarctica/Troll, daily at 02:30: two hours come twice
	//   downtime  24 02:30+02:00, 25 02:30+02:00, 26 02:30Z             as RFC 5545 has it
	//   rrule-go  24 02:30+02:00, 25 02:30Z, 26 02:30Z                  at another time
	//   cron      24 02:30+02:00, 25 02:30+02:00, 25 02:30Z, 26 02:30Z  has a night twice
	//
	// Pacific/Apia, daily at 12:00: the 30th is skipped
	//   downtime  29 12:00-10:00, 31 12:00+14:00                  as RFC 5545 has it
	//   rrule-go  29 12:00-10:00, 29 12:00-10:00, 31 12:00+14:00  has a night twice
	//   cron      29 12:00-10:00, 31 12:00+14:00                  as RFC 5545 has it
}
