-- Lets through what the gates have room for by the caps as they are now: a cap that was raised or lifted releases what
-- an ending task would not. ARGV: limit. Answers how many tasks went on.
local now = now_ms()
local limit, passed = tonumber(ARGV[1]), 0
for _, gate in ipairs(redis.call('SRANDMEMBER', 'cf:gates', 100)) do
  local worker_type, tenant = string.match(gate, '^(%a+):(.*)$')
  local set = 'cf:held:' .. gate
  passed = passed + open(set, math.min(tenant_room(tenant, worker_type), limit - passed), now)
  if redis.call('EXISTS', set) == 0 then redis.call('SREM', 'cf:gates', gate) end
end
return passed + open_deployment(now)
