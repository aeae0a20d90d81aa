-- A step that was paid for: it runs when the memory is full, for begin_call lets no further call be sent then.
-- ARGV: id, fence, claim, step name, value, call (JSON; '' for what no model answered), input tokens, output tokens, usd,
-- type, model.
-- Answers 1, or 0 for a stale claim.
local id = ARGV[1]
if not owns(id, ARGV[2], ARGV[3]) then return 0 end
if redis.call('HSETNX', 'cf:journal:' .. id, ARGV[4], ARGV[5]) == 1 and ARGV[6] ~= '' then
  redis.call('RPUSH', 'cf:calls:' .. id, ARGV[6])
  redis.call('HINCRBY', task_key(id), 'input_tokens', ARGV[7])
  redis.call('HINCRBY', task_key(id), 'output_tokens', ARGV[8])
  redis.call('HINCRBYFLOAT', task_key(id), 'usd', ARGV[9])
  local model = model_label(ARGV[11], true)
  count('llm_requests:' .. model .. ':ok')
  count('llm_tokens:' .. model .. ':input', ARGV[7])
  count('llm_tokens:' .. model .. ':output', ARGV[8])
  redis.call('HINCRBYFLOAT', 'cf:stats', 'llm_cost:' .. ARGV[10] .. ':' .. model, ARGV[9])
end
return 1
