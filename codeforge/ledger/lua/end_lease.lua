-- ARGV: worker. What it still owns is taken back by the reaper at once: its lease is over now.
if redis.call('SCARD', 'cf:owned:' .. ARGV[1]) == 0 then
  redis.call('ZREM', 'cf:lease', ARGV[1])
  redis.call('DEL', 'cf:company:' .. ARGV[1])
else
  redis.call('ZADD', 'cf:lease', 0, ARGV[1])
end
redis.call('HDEL', 'cf:workers', ARGV[1])
redis.call('DEL', 'cf:cancel:' .. ARGV[1])
return 1
