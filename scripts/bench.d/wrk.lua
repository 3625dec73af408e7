-- What wrk counted, on one line that scripts/bench reads.
done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format("counts %d %d %d %d %d %d %d %d %d %d\n",
        summary.requests, summary.bytes, summary.duration,
        errors.connect, errors.read, errors.write, errors.status, errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
