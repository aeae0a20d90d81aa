-- ARGV: model as it was asked for, why the call failed.
count('llm_requests:' .. model_label(ARGV[1], false) .. ':' .. ARGV[2])
return 1
