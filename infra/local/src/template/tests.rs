#![allow(clippy::unwrap_used)]

use super::*;

fn place() -> Place {
    Place {
        region: "us-east-1".into(),
        account: "123456789012".into(),
        stack: "local".into(),
        sqs_url: "http://127.0.0.1:1".into(),
        gateway_url: "http://127.0.0.1:2".into(),
    }
}

fn read(text: &str) -> Result<Template, TemplateError> {
    Template::read(text, &place(), &BTreeMap::new())
}

fn refusal(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

const SMALL: &str = r#"
Parameters:
  Memory: { Type: Number, Default: 256 }
  Extra: { Type: String, Default: "no" }
  Names: { Type: CommaDelimitedList, Default: "a, b" }
Conditions:
  WithExtra: !Equals [!Ref Extra, "yes"]
  WithoutExtra: !Not [!Condition WithExtra]
Mappings:
  Sizes: { us-east-1: { Small: 7 } }
Globals:
  Function:
    Timeout: 15
    Environment: { Variables: { LEVEL: info, TABLE_NAME: !Ref Table } }
Resources:
  Api: { Type: "AWS::ApiGatewayV2::Api", Properties: { ProtocolType: HTTP } }
  Ask:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      AuthorizerType: REQUEST
      AuthorizerPayloadFormatVersion: "2.0"
      EnableSimpleResponses: true
      AuthorizerResultTtlInSeconds: 0
      AuthorizerUri: !Sub arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Work.Arn}/invocations
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: { IntegrationType: AWS_PROXY, PayloadFormatVersion: "2.0", IntegrationUri: !GetAtt Work.Arn }
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      RouteKey: GET /jobs
      Target: !Join ["/", [integrations, !Ref Integration]]
      AuthorizationType: CUSTOM
      AuthorizerId: !Ref Ask
  Work:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: work } }
    Properties:
      MemorySize: !Ref Memory
      Policies: [{ Statement: [{ Resource: !GetAtt Secret.Unknown }] }]
      Environment:
        Variables:
          LEVEL: debug
          QUEUE_URL: !Ref Queue
          EXTRA: !If [WithExtra, "there", !Ref "AWS::NoValue"]
          LITERAL: !Sub ["${!kept} ${Mine} ${AWS::AccountId}", { Mine: !Select [1, !Ref Names] }]
          SIZE: !FindInMap [Sizes, !Ref "AWS::Region", Small]
          LAST: !Select [1, !Split [":", "x:y"]]
      Events:
        Feed:
          Type: SQS
          Properties:
            Queue: !GetAtt Queue.Arn
            BatchSize: 1
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: { MaximumConcurrency: 3 }
        Tick: { Type: Schedule, Properties: { Schedule: rate(1 minute) } }
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub ${AWS::StackName}-table
      KeySchema: [{ AttributeName: PK, KeyType: HASH }]
      AttributeDefinitions: [{ AttributeName: PK, AttributeType: S }]
      TimeToLiveSpecification: { AttributeName: expiresAt, Enabled: true }
      SSESpecification: { SSEEnabled: true }
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 60
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 5 }
  Dead: { Type: "AWS::SQS::Queue" }
  Bucket: { Type: "AWS::S3::Bucket" }
  Optional: { Type: "AWS::S3::Bucket", Condition: WithExtra }
"#;

#[test]
fn a_function_has_its_own_settings_over_the_globals() {
    let template = read(SMALL).unwrap();
    let work = &template.functions["Work"];
    assert_eq!((work.operation.as_str(), work.memory_mb, work.timeout), ("work", 256, Duration::from_secs(15)));
    let environment: Vec<_> = work.environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        environment,
        [
            ("LAST", "y"),
            ("LEVEL", "debug"),
            ("LITERAL", "${kept} b 123456789012"),
            ("QUEUE_URL", "http://127.0.0.1:1/123456789012/local-Queue"),
            ("SIZE", "7"),
            ("TABLE_NAME", "local-table"),
        ]
    );
}

#[test]
fn a_function_is_fed_by_its_queue_and_its_schedule() {
    let template = read(SMALL).unwrap();
    let work = &template.functions["Work"];
    let mapping = QueueMapping {
        queue: "local-Queue".into(),
        queue_arn: "arn:aws:sqs:us-east-1:123456789012:local-Queue".into(),
        batch_size: 1,
        reports_item_failures: true,
        max_concurrency: Some(3),
    };
    assert_eq!(work.queues, [mapping]);
    assert_eq!(work.schedules, [Schedule { name: "Tick".into(), every: Duration::from_secs(60), input: None }]);
}

#[test]
fn a_route_leads_to_its_function_through_its_authorizer() {
    let template = read(SMALL).unwrap();
    let route = Route {
        key: "GET /jobs".into(),
        function: "Work".into(),
        timeout: Duration::from_secs(30),
        authorizer: Some("Work".into()),
    };
    assert_eq!(template.api.unwrap().routes, [route]);
}

#[test]
fn stores_get_their_names_and_attributes() {
    let template = read(SMALL).unwrap();
    assert_eq!(template.tables[0].definition["TableName"], "local-table");
    assert_eq!(template.tables[0].definition.get("SSESpecification"), None);
    assert_eq!(template.tables[0].ttl_attribute.as_deref(), Some("expiresAt"));
    let work = &template.queues[0];
    assert_eq!(work.attributes["VisibilityTimeout"], "60");
    let redrive: Value = serde_json::from_str(&work.attributes["RedrivePolicy"]).unwrap();
    assert_eq!(redrive["deadLetterTargetArn"], "arn:aws:sqs:us-east-1:123456789012:local-Dead");
    assert_eq!(redrive["maxReceiveCount"], 5);
    assert_eq!(template.buckets, [Bucket { id: "Bucket".into(), name: "local-bucket".into() }]);
}

#[test]
fn overrides_reach_values_and_conditions() {
    let overrides = BTreeMap::from([("Memory".into(), "1024".into()), ("Extra".into(), "yes".into())]);
    let template = Template::read(SMALL, &place(), &overrides).unwrap();
    let work = &template.functions["Work"];
    assert_eq!((work.memory_mb, work.environment["EXTRA"].as_str()), (1024, "there"));
    assert_eq!(template.buckets.len(), 2);
    let unknown = BTreeMap::from([("Memroy".into(), "1".into())]);
    let error = Template::read(SMALL, &place(), &unknown).unwrap_err();
    assert_eq!(error.to_string(), "The template has no parameter Memroy.");
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    let bucket =
        |name: &str| refusal(&format!("Resources: {{ B: {{ Type: 'AWS::S3::Bucket', Properties: {name} }} }}"));
    assert_eq!(
        bucket("{ BucketName: !Base64 x }"),
        "In the template, B.BucketName uses the function Fn::Base64, which is not known here."
    );
    assert_eq!(
        bucket("{ BucketName: !Ref Nothing }"),
        "In the template, B.BucketName refers to Nothing, which is no parameter, condition or resource of this deployment."
    );
    assert_eq!(
        bucket("{ WebsiteConfiguration: {} }"),
        "In the template, B.Properties.WebsiteConfiguration is not emulated on one machine."
    );
    assert_eq!(
        refusal("Resources: { X: { Type: 'AWS::Kinesis::Stream' } }"),
        "The template's resource X is of the type AWS::Kinesis::Stream, which this machine cannot stand in for."
    );
    assert_eq!(refusal("Resources: ["), "The template is not valid YAML.");
    assert_eq!(
        refusal("Parameters: { P: { Type: String } }\nResources: {}"),
        "The template's parameter P needs a value."
    );
    let circle =
        refusal("Resources: { Q: { Type: 'AWS::SQS::Queue', Properties: { QueueName: !GetAtt Q.QueueName } } }");
    assert!(circle.ends_with("should be a value that does not refer to itself."), "{circle}");
}

#[test]
fn the_projects_own_template_is_understood() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
    let template = read(&std::fs::read_to_string(path).unwrap()).unwrap();
    let operations: Vec<_> = template.functions.values().map(|function| function.operation.as_str()).collect();
    assert_eq!(operations.len(), 7, "{operations:?}");
    assert_eq!(template.tables.len(), 1);
    assert_eq!(template.tables[0].ttl_attribute.as_deref(), Some("expiresAt"));
    let worker = template.functions.values().find(|function| function.operation == "export_worker").unwrap();
    assert_eq!(worker.queues[0].batch_size, 1);
    assert!(worker.queues[0].reports_item_failures);
    let api = template.api.unwrap();
    assert!(api.routes.iter().any(|route| route.key == "$default"));
    let open = |key: &str| key.ends_with(" /openapi.json") || key.ends_with(" /docs");
    assert!(api.routes.iter().all(|route| route.authorizer.as_deref() == (!open(&route.key)).then_some("Authorizer")));
}
