def accuracy_values(evaluation, names, host, project_id):
    return None
