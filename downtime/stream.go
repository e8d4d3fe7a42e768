package downtime

// eventStream is the media type of server-sent events (HTML §9.2).
const eventStream = "text/event-stream"
