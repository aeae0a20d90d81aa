-- ARGV: model as it was asked for, why the call failed, 1 for the operator's own model.
count('llm_requests:' .. model_label(ARGV[1], ARGV[3] == '1') .. ':' .. ARGV[2])
return 1
